package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

// getWith asks for a path with headers.
func (b *bundle) getWith(t testing.TB, path string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+path, nil)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return send(t, req)
}

func TestDocsPage(t *testing.T) {
	t.Parallel()
	options, _ := authorize(t, httpapi.Token{Name: "n", Scopes: httpapi.ScopeRead})
	b := setup(t, settings{options: options})
	page := b.getWith(t, "/docs")
	require.Equal(t, "text/html; charset=utf-8", page.Header.Get("Content-Type"))
	require.Contains(t, page.Header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'; style-src 'self';")
	require.NotContains(t, page.Header.Get("Content-Security-Policy"), "unsafe")
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(string(page.body), -1) {
		if m[1] == "data:," {
			continue
		}
		require.NotContains(t, m[1], ":", "of this server only")
		a := b.getWith(t, "/"+m[1], "Accept-Encoding", "identity")
		require.Equal(t, http.StatusOK, a.StatusCode, m[1])
		require.Equal(t, page.Header.Get("Content-Security-Policy"), a.Header.Get("Content-Security-Policy"))
		require.Empty(t, a.Header.Get("Content-Encoding"))
		require.Equal(t, http.StatusNotModified, b.getWith(t, "/"+m[1], "Accept-Encoding", "identity", "If-None-Match", a.Header.Get("ETag")).StatusCode)
	}
}

// The files are those of the package that generate.go names, whichever way they
// are sent.
func TestDocsAssets(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	sums, err := os.ReadFile("docs/swagger-ui/SHA256SUMS")
	require.NoError(t, err)
	for line := range strings.Lines(string(sums)) {
		sum, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok {
			continue
		}
		if data, err := os.ReadFile(filepath.Join("docs/swagger-ui", name)); err == nil {
			require.Equal(t, sum, hexSum(data), name)
			continue
		}
		plain := b.getWith(t, "/docs/"+name, "Accept-Encoding", "br, gzip;q=0")
		require.Equal(t, sum, hexSum(plain.body), name)
		zipped := b.getWith(t, "/docs/"+name, "Accept-Encoding", "br, gzip")
		require.Equal(t, "gzip", zipped.Header.Get("Content-Encoding"))
		require.Equal(t, "Accept-Encoding", zipped.Header.Get("Vary"))
		require.NotEqual(t, plain.Header.Get("ETag"), zipped.Header.Get("ETag"))
		zr, err := gzip.NewReader(bytes.NewReader(zipped.body))
		require.NoError(t, err)
		data, err := io.ReadAll(zr)
		require.NoError(t, err)
		require.Equal(t, plain.body, data)
	}
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// A browser shows the operations, has nothing to complain of, and finds no other
// host: none has a name for it.
func TestDocsPageInABrowser(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	page := envtest.Browse(t, b.url+"/docs")
	require.NotContains(t, page.Log, "CONSOLE", "the console has something to say")
	for _, text := range []string{"Site backup", "Start a backup", "Show the state of a backup"} {
		require.Contains(t, page.DOM, text)
	}
	require.Contains(t, b.log.String(), "path=/openapi.json status=200")
}
