package backup

import _ "embed"

// ManifestSchema is the JSON Schema of the manifests that this release writes, in
// draft 2020-12. Its $id has their version.
//
//go:embed manifest.schema.json
var ManifestSchema string
