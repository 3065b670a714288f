package export_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

const size = 100_000

// api is a mock API on a real server, and what it should serve for u and s.
type api struct {
	*export.Handler
	server *httptest.Server
	want   []byte
}

func setup(t *testing.T, o export.Options) *api {
	t.Helper()
	o.Name, o.Size = "site", size
	a := &api{Handler: export.NewHandler(o), want: readAll(t, o)}
	a.server = httptest.NewUnstartedServer(a.Handler)
	a.server.EnableHTTP2 = true
	t.Cleanup(a.server.Close)
	return a
}

// get returns the response for the path and headers (name, value, ...), whatever
// of its body arrived, and the error that ended the body.
func (a *api) get(t *testing.T, path string, headers ...string) (*http.Response, []byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.server.URL+path, http.NoBody)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := a.server.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp, body, err
}

func TestHandlerServesTheWhole(t *testing.T) {
	t.Parallel()
	a := setup(t, export.Options{})
	a.server.Start()
	resp, body, err := a.get(t, "/export/u/s")
	require.NoError(t, err)
	require.Equal(t, a.want, body)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.EqualValues(t, size, resp.ContentLength)
	require.Equal(t, "application/x-tar", resp.Header.Get("Content-Type"))
	require.Regexp(t, `^"[0-9a-f]{16}-100000"$`, resp.Header.Get("ETag"))
	require.Equal(t, export.Stats{Requests: 1, Bytes: size}, a.Stats())

	_, other, err := a.get(t, "/export/u/s%2F2")
	require.NoError(t, err)
	require.NotEqual(t, a.want, other)

	head, err := a.server.Client().Head(a.server.URL + "/export/u/s")
	require.NoError(t, err)
	defer head.Body.Close()
	require.EqualValues(t, size, head.ContentLength)
	require.EqualValues(t, 2*size, a.Stats().Bytes)
}

func TestHandlerServesRanges(t *testing.T) {
	t.Parallel()
	a := setup(t, export.Options{})
	a.server.Start()
	resp, _, err := a.get(t, "/export/u/s")
	require.NoError(t, err)
	etag := resp.Header.Get("ETag")

	var joined []byte
	for _, r := range []string{"bytes=0-4999", "bytes=5000-77776", "bytes=77777-"} {
		resp, body, err := a.get(t, "/export/u/s", "Range", r, "If-Range", etag)
		require.NoError(t, err)
		require.Equal(t, http.StatusPartialContent, resp.StatusCode)
		require.Equal(t, etag, resp.Header.Get("ETag"))
		joined = append(joined, body...)
	}
	require.Equal(t, a.want, joined)

	resp, _, err = a.get(t, "/export/u/s", "Range", "bytes=100000-", "If-Range", etag)
	require.NoError(t, err)
	require.Equal(t, http.StatusRequestedRangeNotSatisfiable, resp.StatusCode)
	require.Equal(t, "bytes */100000", resp.Header.Get("Content-Range"))

	resp, body, err := a.get(t, "/export/u/s", "Range", "bytes=5-", "If-Range", `"another"`)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, a.want, body)
}

func TestHandlerAsksForItsToken(t *testing.T) {
	t.Parallel()
	a := setup(t, export.Options{Token: "t0ken"})
	a.server.Start()
	for header, status := range map[string]int{
		"": 401, "Bearer ": 401, "Bearer t0ke": 401, "Bearer t0ken2": 401, "Bearer t0ken": 200,
	} {
		resp, _, err := a.get(t, "/export/u/s", "Authorization", header)
		require.NoError(t, err)
		require.Equal(t, status, resp.StatusCode, header)
	}
}

func TestServeMuxServesEachAPIBelowItsName(t *testing.T) {
	t.Parallel()
	db := export.Options{Name: "db", Size: 3}
	server := httptest.NewServer(export.NewServeMux(
		export.NewHandler(export.Options{Name: "site", Size: 2}), export.NewHandler(db)))
	t.Cleanup(server.Close)
	a := &api{server: server}

	_, body, err := a.get(t, "/site/export/u/s")
	require.NoError(t, err)
	require.Len(t, body, 2)
	_, body, err = a.get(t, "/db/export/u%2F%2e%2e/s")
	require.NoError(t, err)
	want, err := io.ReadAll(io.LimitReader(export.NewReader(db, "u/..", "s"), 100))
	require.NoError(t, err)
	require.Equal(t, want, body)
	_, body, err = a.get(t, "/healthz")
	require.NoError(t, err)
	require.Equal(t, "ok\n", string(body))
}

func TestHandlerSendsDigests(t *testing.T) {
	t.Parallel()
	a := setup(t, export.Options{})
	a.server.StartTLS()
	sum := export.SHA256(export.Options{Name: "site", Size: size}, "u", "s")
	want := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"

	resp, _, err := a.get(t, "/export/u/s?fault=digest=header")
	require.NoError(t, err)
	require.Equal(t, want, resp.Header.Get("Repr-Digest"))
	require.Equal(t, want, resp.Header.Get("Content-Digest"))

	resp, _, err = a.get(t, "/export/u/s?fault=digest=trailer")
	require.NoError(t, err)
	require.Equal(t, 2, resp.ProtoMajor)
	require.Equal(t, want, resp.Trailer.Get("Repr-Digest"))
	require.Equal(t, want, resp.Trailer.Get("Content-Digest"))

	resp, _, err = a.get(t, "/export/u/s?fault=digest=header", "Range", "bytes=1-")
	require.NoError(t, err)
	require.Equal(t, want, resp.Header.Get("Repr-Digest"), "the digest of the whole, with a part too")
	require.Empty(t, resp.Header.Get("Content-Digest"))

	resp, _, err = a.get(t, "/export/u/s?fault=digest=wrong")
	require.NoError(t, err)
	require.NotEqual(t, want, resp.Header.Get("Repr-Digest"))
}
