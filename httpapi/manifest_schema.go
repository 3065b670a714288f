package httpapi

import (
	"net/http"

	"github.com/sitebackup/sitebackup/backup"
)

const manifestSchemaPath = "/manifest.schema.json"

// serveManifestSchema serves what manifests look like. It tells of no backup, and
// is for everybody.
func serveManifestSchema(mux *http.ServeMux) {
	mux.Handle("GET "+manifestSchemaPath, noted("manifest schema", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/schema+json")
		_, _ = w.Write([]byte(backup.ManifestSchema)) // the client has gone if it fails
	})))
}
