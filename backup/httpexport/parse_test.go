package httpexport

import (
	"crypto/sha256"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func TestParseRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"5":                                 5 * time.Second,
		" 120 ":                             2 * time.Minute,
		"0":                                 time.Second,
		"86400":                             24 * time.Hour,
		"86401":                             24 * time.Hour,
		"9999999999999":                     24 * time.Hour,
		"99999999999999999999999":           24 * time.Hour,
		"Wed, 02 Jan 2030 03:05:05 GMT":     time.Minute,
		"Wednesday, 02-Jan-30 03:05:05 GMT": time.Minute,
		"Wed Jan  2 03:05:05 2030":          time.Minute,
		"Wed, 02 Jan 2030 03:04:04 GMT":     time.Second,
		"Wed, 02 Jan 1980 03:04:04 GMT":     time.Second,
		"Wed, 02 Jan 2999 03:04:04 GMT":     24 * time.Hour,
	} {
		got, ok := parseRetryAfter(value, now)
		require.True(t, ok, value)
		require.Equal(t, want, got, value)
	}
	for _, value := range []string{"", "-1", "+5", "1.5", "5s", "soon", "1_0", "0x10"} {
		_, ok := parseRetryAfter(value, now)
		require.False(t, ok, value)
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("5")
	f.Add("Wed, 02 Jan 2030 03:05:05 GMT")
	f.Fuzz(func(t *testing.T, value string) {
		d, ok := parseRetryAfter(value, now)
		require.Equal(t, ok, d >= minRetryAfter && d <= maxRetryAfter)
	})
}

func TestParseContentRange(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]contentRange{
		"bytes 0-0/1":    {0, 0, 1},
		"bytes 5-99/100": {5, 99, 100},
		"Bytes 5-99/200": {5, 99, 200},
		"bytes 5-99/*":   {5, 99, -1},
		"bytes */100":    {-1, -1, 100},
		"bytes 0-9223372036854775806/9223372036854775807": {0, 1<<63 - 2, 1<<63 - 1},
	} {
		got, err := parseContentRange(s)
		require.NoError(t, err, s)
		require.Equal(t, want, got, s)
	}
	for _, s := range []string{
		"", "bytes", "bytes 5-99", "bytes 5-99/", "bytes 5-99/99", "bytes 9-5/100", "bytes -5/100", "bytes 5-/100",
		"bytes */*", "bytes *-5/100", "items 5-99/100", "bytes=5-99/100", "bytes +5-99/100", "bytes 5-99/-1",
		"bytes 5 - 99/100", "bytes 5-99/100, bytes 1-2/100", "bytes 5-99/9223372036854775808", "bytes  5-99/100",
	} {
		_, err := parseContentRange(s)
		require.Error(t, err, s)
	}
}

func FuzzContentRange(f *testing.F) {
	f.Add("bytes 5-99/100")
	f.Add("bytes */100")
	f.Add("bytes 5-99/*")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseContentRange(s)
		if err != nil {
			return
		}
		if r.first == -1 {
			require.Equal(t, int64(-1), r.last)
			require.GreaterOrEqual(t, r.total, int64(0))
			return
		}
		require.GreaterOrEqual(t, r.first, int64(0))
		require.LessOrEqual(t, r.first, r.last)
		require.True(t, r.total == -1 || r.last < r.total)
	})
}

func TestParseDigests(t *testing.T) {
	t.Parallel()
	// The example of RFC 9530 §B.1, and its sha-512 from §B.2.
	const sha256OfExample = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
	const sha512OfExample = "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:"
	sum := sha256.Sum256([]byte(`{"hello": "world"}` + "\n"))

	d, err := parseDigests([]string{sha256OfExample})
	require.NoError(t, err)
	require.Equal(t, sum[:], d.sha256)
	require.Nil(t, d.sha512)

	for _, field := range [][]string{
		{sha256OfExample + "," + sha512OfExample},
		{sha512OfExample, sha256OfExample},
		{"md5=:AAAA:, " + sha512OfExample + ";note=1", "unixsum=5", sha256OfExample},
	} {
		d, err := parseDigests(field)
		require.NoError(t, err, field)
		require.Equal(t, sum[:], d.sha256, field)
		require.Len(t, d.sha512, 64, field)
	}
	for _, field := range [][]string{nil, {""}, {"md5=:AAAA:"}, {"sha-256=abc=:"}, {"SHA-256=:AAAA:"}, {sha256OfExample + ","}, {"sha-256=:AAA"}} {
		d, err := parseDigests(field)
		require.NoError(t, err, field)
		require.Equal(t, digests{}, d, field)
	}
	for _, field := range []string{"sha-256=:AAAA:", "sha-256", "sha-256=5", "sha-256=(:AAAA:)", "sha-512=" + sha256OfExample[8:]} {
		_, err := parseDigests([]string{field})
		require.ErrorContains(t, err, "digest is not", field)
	}
}

func FuzzDigests(f *testing.F) {
	f.Add("sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:, md5=:AAAA:;a=1")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := parseDigests([]string{s})
		if err != nil {
			return
		}
		require.Contains(t, []int{0, 32}, len(d.sha256))
		require.Contains(t, []int{0, 64}, len(d.sha512))
	})
}

func TestValidatorOf(t *testing.T) {
	t.Parallel()
	const modified, same, later = "Wed, 02 Jan 2030 03:04:05 GMT", "Wed, 02 Jan 2030 03:04:05 GMT", "Wed, 02 Jan 2030 03:04:06 GMT"
	for name, tt := range map[string]struct {
		header http.Header
		want   string
	}{
		"strong ETag":             {http.Header{"Etag": {`"abc"`}}, `"abc"`},
		"empty strong ETag":       {http.Header{"Etag": {`""`}}, `""`},
		"weak ETag":               {http.Header{"Etag": {`W/"abc"`}}, ""},
		"weak ETag, strong date":  {http.Header{"Etag": {`W/"abc"`}, "Last-Modified": {modified}, "Date": {later}}, ""},
		"ETag without quotes":     {http.Header{"Etag": {`abc`}}, ""},
		"ETag with a quote in it": {http.Header{"Etag": {`"a"b"`}}, ""},
		"ETag with a line break":  {http.Header{"Etag": {"\"a\r\nX: y\""}}, ""},
		"two ETags":               {http.Header{"Etag": {`"abc"`, `"def"`}}, ""},
		"endless ETag":            {http.Header{"Etag": {`"` + strings.Repeat("x", 1023) + `"`}}, ""},
		"strong date":             {http.Header{"Last-Modified": {modified}, "Date": {later}}, modified},
		"date of this second":     {http.Header{"Last-Modified": {modified}, "Date": {same}}, ""},
		"date of the future":      {http.Header{"Last-Modified": {later}, "Date": {same}}, ""},
		"date without a clock":    {http.Header{"Last-Modified": {modified}}, ""},
		"no date":                 {http.Header{"Last-Modified": {"yesterday"}, "Date": {later}}, ""},
		"nothing":                 {http.Header{"Date": {later}}, ""},
	} {
		got := validatorOf(tt.header)
		require.Equal(t, tt.want, got, name)
		require.Equal(t, got != "", isValidator(got), name)
	}
}

// FuzzValidator looks for validators that would break a header.
func FuzzValidator(f *testing.F) {
	f.Add(`"abc"`)
	f.Add("Wed, 02 Jan 2030 03:04:05 GMT")
	f.Fuzz(func(t *testing.T, s string) {
		if isValidator(s) {
			require.False(t, strings.ContainsAny(s, "\r\n\x00"), "%q", s)
		}
	})
}
