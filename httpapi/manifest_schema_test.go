package httpapi_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/internal/memblob"
)

// Manifests of real backups are as the schema that the server gives says: with one
// export and with several, of one part and of many, with labels and with ids that
// need escaping.
func TestManifestsAreAsTheirSchemaSays(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{store: memblob.New(), exports: exports()})
	a := b.get(t, "/manifest.schema.json")
	require.Equal(t, http.StatusOK, a.StatusCode)
	require.Equal(t, "application/schema+json", a.Header.Get("Content-Type"))
	require.Equal(t, backup.ManifestSchema, string(a.body))
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.body))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource("manifest.json", doc))
	schema, err := c.Compile("manifest.json")
	require.NoError(t, err)
	for _, body := range []string{
		start,
		`{"userId":"u","siteId":"s","providers":["db"]}`,
		`{"userId":"ü / 1","siteId":"%","providers":["site"],"labels":{"why":"before an update","empty":""}}`,
	} {
		id := b.started(t, body).ID
		b.awaitStatus(t, id, "done")
		m, err := jsonschema.UnmarshalJSON(bytes.NewReader(b.get(t, "/backup/"+id+"/manifest").body))
		require.NoError(t, err)
		require.NoError(t, schema.Validate(m))
	}
}
