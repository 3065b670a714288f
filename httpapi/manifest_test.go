package httpapi_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi"
	"github.com/sitebackup/sitebackup/internal/memblob"
)

// with sends a GET with a header.
func (b *bundle) with(t testing.TB, path, name, value string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+path, nil)
	require.NoError(t, err)
	req.Header.Set(name, value)
	return send(t, req)
}

func TestManifest(t *testing.T) {
	t.Parallel()
	es, store := exports(), memblob.New()
	b := setup(t, settings{store: store, exports: es})
	hold := make(chan struct{})
	es["db"].pause(hold)
	id := b.started(t, start).ID
	p := requireProblem(t, b.get(t, "/backup/"+id+"/manifest"), 409, httpapi.CodeStateConflict)
	require.Contains(t, p.Detail, "read the manifest of a backup that is ")
	close(hold)
	v := b.awaitStatus(t, id, "done")

	a := b.get(t, "/backup/"+id+"/manifest")
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.body)
	require.Equal(t, "application/json", a.Header.Get("Content-Type"))
	m, err := backup.ReadManifest(context.WithoutCancel(t.Context()), store, v.ManifestKey)
	require.NoError(t, err)
	require.Equal(t, *m, decode[backup.Manifest](t, a))
	require.Equal(t, string(store.Objects[v.ManifestKey].Data), string(a.body), "byte for byte")

	sum := sha256.Sum256(a.body)
	etag := `"` + hex.EncodeToString(sum[:]) + `"`
	require.Equal(t, etag, a.Header.Get("Etag"))
	require.Equal(t, "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":", a.Header.Get("Repr-Digest"))
	path := "/backup/" + id + "/manifest"
	require.Equal(t, http.StatusNotModified, b.with(t, path, "If-None-Match", etag).StatusCode)
	require.Equal(t, http.StatusOK, b.with(t, path, "If-None-Match", `"x"`).StatusCode)
	require.Equal(t, etag, requireStored(t, b.with(t, path, "If-Match", `"x"`), 412, httpapi.CodePrecondition).Get("Etag"))
}

func requireStored(t testing.TB, a answer, status int, code httpapi.Code) http.Header {
	t.Helper()
	requireProblem(t, a, status, code)
	return a.Header
}
