package httpexport_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/httpexport"
)

func TestStatusClasses(t *testing.T) {
	t.Parallel()
	for class, statuses := range map[backup.Class][]int{
		backup.ClassPermanent: {201, 203, 205, 206, 207, 226, 400, 401, 402, 403, 404, 405, 406, 407, 410, 411, 412, 413,
			414, 415, 416, 417, 418, 422, 426, 428, 431, 451, 499},
		backup.ClassRetryable:  {202, 408, 409, 421, 423, 425, 500, 501, 502, 504, 507, 520, 599},
		backup.ClassRetryAfter: {429, 503},
	} {
		for _, status := range statuses {
			p := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(status)
				if status != http.StatusResetContent {
					_, _ = w.Write([]byte(`{"secret":"in the body"}`))
				}
			}, func(c *httpexport.Config) { c.URL += "?key=secret" })
			err := fails(t, p, request())
			require.Equal(t, class, err.Class, "%d", status)
			require.ErrorContains(t, err, "/export/u1/s1: "+strconv.Itoa(status)+" ")
			require.ErrorContains(t, err, "(application/problem+json)")
			require.Regexp(t, `^GET http://127.0.0.1:`, err.Error())
			require.NotContains(t, err.Error(), "secret")
		}
	}
}

func TestErrorsTakeNothingElseFromTheSource(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"HTTP/1.1 500 secret reason\r\nContent-Type: secret\r\nX-Header: secret\r\nContent-Length: 6\r\n\r\nsecret",
		"HTTP/1.1 500 \r\nContent-Type: \x00secret/\x1b[2J\r\nContent-Length: 0\r\n\r\n",
		"secret that is no HTTP at all\r\n\r\n",
		"HTTP/1.1 secret OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nsecret without a colon\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: secret\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Type: secret\"\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Encoding: secret\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: /\x7f?secret\r\n\r\n",
	} {
		err := fails(t, raw(t, text, func(c *httpexport.Config) { c.ContentType = []string{"application/x-tar"} }), request())
		require.NotContains(t, err.Error(), "secret", text)
		require.NotContains(t, err.Hint, "secret", text)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		status int
		value  string
		class  backup.Class
		after  time.Duration
	}{
		{429, "7", backup.ClassRetryAfter, 7 * time.Second},
		{503, "Wed, 02 Jan 2030 03:06:05 GMT", backup.ClassRetryAfter, 2 * time.Minute},
		{202, "30", backup.ClassRetryAfter, 30 * time.Second},
		{503, "0", backup.ClassRetryAfter, time.Second},
		{429, "999999999", backup.ClassRetryAfter, 24 * time.Hour},
		{503, "Wed, 02 Jan 2030 03:04:04 GMT", backup.ClassRetryAfter, time.Second},
		{429, "Sat, 02 Jan 2300 03:04:04 GMT", backup.ClassRetryAfter, 24 * time.Hour},
		{429, "later", backup.ClassRetryAfter, 0},
		{503, "-7", backup.ClassRetryAfter, 0},
		{503, "", backup.ClassRetryAfter, 0},
		{202, "", backup.ClassRetryable, 0},
		{500, "7", backup.ClassRetryable, 0},
		{403, "7", backup.ClassPermanent, 0},
	} {
		p := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", tt.value)
			w.WriteHeader(tt.status)
		}, nil)
		httpexport.SetNow(p, func() time.Time { return now })
		err := fails(t, p, request())
		require.Equal(t, tt.class, err.Class, tt)
		require.Equal(t, tt.after, err.After, tt)
	}
}

func TestNoContentIsAnEmptyExport(t *testing.T) {
	t.Parallel()
	for _, response := range []string{
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	} {
		p := raw(t, response, func(c *httpexport.Config) { c.ContentType = []string{"application/sql"} })
		for _, req := range []*backup.ExportRequest{request(), resumeAt(10, `"v1"`)} {
			e, err := p.Export(t.Context(), req)
			require.NoError(t, err)
			got, err := read(t, e)
			require.NoError(t, err)
			require.Empty(t, got)
			require.Zero(t, e.Size)
			require.Zero(t, e.Offset)
			require.Equal(t, "application/sql", e.ContentType)
		}
	}
}
