package httpexport_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

func sum256(s string) []byte { d := sha256.Sum256([]byte(s)); return d[:] }
func sum512(s string) []byte { d := sha512.Sum512([]byte(s)); return d[:] }

func field(algorithm string, sum []byte) string {
	return algorithm + "=:" + base64.StdEncoding.EncodeToString(sum) + ":"
}

// TestDigests sends one digest, in the header and in the trailer, over both
// versions of HTTP.
func TestDigests(t *testing.T) {
	t.Parallel()
	wrong256, wrong512 := sum256("another"), sum512("another")
	for name, tt := range map[string]struct {
		name, value string
		checked     bool
		sha256      []byte
		fails       string
	}{
		"content sha-256":        {name: "Content-Digest", value: field("sha-256", sum256(content)), checked: true},
		"content sha-512":        {name: "Content-Digest", value: field("sha-512", sum512(content)), checked: true},
		"content, two":           {name: "Content-Digest", value: field("sha-512", sum512(content)) + ", " + field("sha-256", sum256(content)), checked: true},
		"content, one wrong":     {name: "Content-Digest", value: field("sha-512", sum512(content)) + ", " + field("sha-256", wrong256), fails: "compare Content-Digest sha-256: expected "},
		"content sha-512, wrong": {name: "Content-Digest", value: field("sha-512", wrong512), fails: "compare Content-Digest sha-512: expected "},
		"repr sha-256":           {name: "Repr-Digest", value: field("sha-256", sum256(content)), sha256: sum256(content)},
		"repr sha-256, wrong":    {name: "Repr-Digest", value: field("sha-256", wrong256), sha256: wrong256}, // the engine compares
		"repr sha-512":           {name: "Repr-Digest", value: field("sha-512", sum512(content)), checked: true},
		"repr sha-512, wrong":    {name: "Repr-Digest", value: field("sha-512", wrong512), fails: "compare Repr-Digest sha-512: expected "},
		"another algorithm":      {name: "Content-Digest", value: field("md5", []byte("0123456789abcdef"))},
		"no structured field":    {name: "Content-Digest", value: "sha-256=abc="},
	} {
		for _, trailer := range []bool{false, true} {
			for _, h2 := range []bool{false, true} {
				t.Run(name+", trailer "+strconv.FormatBool(trailer)+", h2 "+strconv.FormatBool(h2), func(t *testing.T) {
					t.Parallel()
					start := serve
					if h2 {
						start = serveH2
					}
					p := start(t, func(w http.ResponseWriter, _ *http.Request) {
						if trailer {
							w.Header().Set("Trailer", tt.name)
						} else {
							w.Header().Set(tt.name, tt.value)
						}
						_, _ = io.WriteString(w, content)
						w.Header().Set(tt.name, tt.value)
					}, nil)
					e, err := p.Export(t.Context(), request())
					require.NoError(t, err)
					_, err = read(t, e)
					require.NoError(t, err)
					end, err := e.End()
					if tt.fails != "" {
						require.ErrorContains(t, err, tt.fails)
						require.ErrorContains(t, err, ", got ")
						requireClass(t, backup.ClassRetryable, err)
						return
					}
					require.NoError(t, err)
					require.Equal(t, backup.End{Framed: true, DigestChecked: tt.checked, SHA256: tt.sha256}, end)
				})
			}
		}
	}
}

func TestDigestProvesACloseDelimitedBody(t *testing.T) {
	t.Parallel()
	response := ok("Content-Digest: " + field("sha-256", sum256(content)))
	_, end := whole(t, raw(t, response+content, nil), request())
	require.Equal(t, backup.End{DigestChecked: true}, end)

	e, err := raw(t, response+content[:1000], nil).Export(t.Context(), request())
	require.NoError(t, err)
	_, err = read(t, e)
	require.NoError(t, err)
	_, err = e.End()
	require.ErrorContains(t, err, "compare Content-Digest sha-256")
}

func TestDigestsThatCannotBeRightFailBeforeTheBody(t *testing.T) {
	t.Parallel()
	p := raw(t, ok("Repr-Digest: sha-256=:AAAA:", "Content-Length: 3")+"abc", nil)
	err := fails(t, p, request())
	require.Equal(t, backup.ClassPermanent, err.Class)
	require.ErrorContains(t, err, "its sha-256 digest is not 32 bytes")
}

func TestHeaderAndTrailerMustAgree(t *testing.T) {
	t.Parallel()
	p := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Repr-Digest", field("sha-256", sum256(content)))
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, content)
		w.Header().Set(http.TrailerPrefix+"Repr-Digest", field("sha-256", sum256("another")))
	}, nil)
	e, err := p.Export(t.Context(), request())
	require.NoError(t, err)
	_, err = read(t, e)
	require.NoError(t, err)
	_, err = e.End()
	require.ErrorContains(t, err, "the header says")
}

// What the header says of the whole export is known before its first byte.
func TestDigestOfTheWholeIsAnnounced(t *testing.T) {
	t.Parallel()
	content256, repr256 := field("sha-256", sum256(content)), field("sha-256", sum256("another"))
	for name, tt := range map[string]struct {
		headers []string
		want    []byte
	}{
		"none":    {nil, nil},
		"content": {[]string{"Content-Digest: " + content256}, sum256(content)},
		"repr":    {[]string{"Content-Digest: " + content256, "Repr-Digest: " + repr256}, sum256("another")},
		"sha-512": {[]string{"Repr-Digest: " + field("sha-512", sum512(content))}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := raw(t, ok(append(tt.headers, "Content-Length: "+strconv.Itoa(len(content)))...)+content, nil).Export(t.Context(), request())
			require.NoError(t, err)
			require.Equal(t, tt.want, e.SHA256)
			require.NoError(t, e.Body.Close())
		})
	}
}

// TestDigestOfAPartThatIsNotTheLast: whoever goes on behind it never sees its digest
// again. That of a part that was cut says nothing.
func TestDigestOfAPartThatIsNotTheLast(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		total   string
		of      string // what the digest is of
		frame   func(string) string
		refuted bool
	}{
		"right":               {"10000", content[1000:2000], lengthOf, false},
		"wrong":               {"10000", content, lengthOf, true},
		"wrong, total unsaid": {"*", content, lengthOf, true},
		"wrong, in chunks":    {"10000", content, chunksOf, true},
		"cut":                 {"10000", content[1000:2000], func(s string) string { return lengthOf(s)[:500] }, false},
		"cut, in chunks":      {"10000", content[1000:2000], func(s string) string { return chunksOf(s)[:500] }, false},
		"cut, undelimited":    {"10000", content[1000:2000], func(s string) string { return "\r\n" + s[:500] }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := raw(t, "HTTP/1.1 206 Partial Content\r\nETag: \"v1\"\r\nContent-Range: bytes 1000-1999/"+tt.total+
				"\r\nContent-Digest: "+field("sha-256", sum256(tt.of))+"\r\n"+tt.frame(content[1000:2000]), nil)
			e, err := p.Export(t.Context(), resumeAt(1000, `"v1"`))
			require.NoError(t, err)
			_, err = read(t, e)
			require.Equal(t, tt.refuted, errors.Is(err, backup.ErrRefuted), "%v", err)
			requireClass(t, backup.ClassRetryable, err)
			require.NotErrorIs(t, err, io.EOF)
		})
	}
}

func lengthOf(s string) string { return "Content-Length: " + strconv.Itoa(len(s)) + "\r\n\r\n" + s }

func chunksOf(s string) string {
	return "Transfer-Encoding: chunked\r\n\r\n" + chunked(s) + "0\r\n\r\n"
}

// TestDigestsOfAPart: Content-Digest covers the part, Repr-Digest the whole.
func TestDigestsOfAPart(t *testing.T) {
	t.Parallel()
	const offset = 1000
	part := func(content206, repr string) string {
		return strings.Join([]string{
			"HTTP/1.1 206 Partial Content", `ETag: "v1"`,
			"Content-Range: bytes 1000-" + strconv.Itoa(len(content)-1) + "/" + strconv.Itoa(len(content)),
			"Content-Length: " + strconv.Itoa(len(content)-offset),
			"Content-Digest: " + content206, "Repr-Digest: " + repr, "", content[offset:],
		}, "\r\n")
	}
	repr := field("sha-256", sum256(content)) + ", " + field("sha-512", sum512("not checked: we see a part only"))
	both := field("sha-256", sum256(content[offset:])) + ", " + field("sha-512", sum512(content[offset:]))
	_, end := whole(t, raw(t, part(both, repr), nil), resumeAt(offset, `"v1"`))
	require.Equal(t, backup.End{SHA256: sum256(content)}, end)

	e, err := raw(t, part(field("sha-256", sum256(content)), repr), nil).Export(t.Context(), resumeAt(offset, `"v1"`))
	require.NoError(t, err)
	_, err = read(t, e)
	require.NoError(t, err)
	_, err = e.End()
	require.ErrorContains(t, err, "compare Content-Digest sha-256")
}
