package httpapi

import (
	"bytes"
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sitebackup/sitebackup/backup"
)

func (a *api) registerManifest(to huma.API) {
	schema := &huma.Schema{Type: huma.TypeObject, Description: "The version, the ids, and for each export its key in the store, size, SHA-256, parts and proof.", AdditionalProperties: true}
	huma.Register(to, a.operation(to, ScopeRead, huma.Operation{
		OperationID: "getManifest", Method: http.MethodGet, Path: "/backup/{id}/manifest", Tags: []string{tag},
		Summary: "Get the manifest of a backup that is done",
		Description: "The answer is the manifest byte for byte as it is in the store. It lists every export with its size and checksums, so that the copy can be verified with nothing but the manifest and the objects. " +
			"Its JSON Schema is at /manifest.schema.json of a server that serves the whole API, and in the Go package `backup`.",
		Parameters: storedParams(),
		Responses:  storedResponses(backup.ManifestContentType, schema),
	}, append([]Code{CodeNotFound, CodeStateConflict}, storedFailures...)...), a.manifest)
}

// storedFailures is what an operation that sends something stored may answer.
var storedFailures = []Code{CodeRange, CodePrecondition}

const storedSum = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

// storedParams are the headers of a request for something that is stored.
// http.ServeContent reads them, so that huma doesn't.
func storedParams() []*huma.Param {
	header := func(name, description, example string) *huma.Param {
		return &huma.Param{Name: name, In: "header", Description: description, Schema: &huma.Schema{Type: huma.TypeString}, Example: example}
	}
	const etag = `"` + storedSum + `"`
	return []*huma.Param{
		header("Range", "The bytes to send, as one range: bytes=0-499 for the first 500, bytes=500- for all that follow, bytes=-500 for the last 500. "+
			"Several ranges, and what is no range of bytes, are answered with the whole.", "bytes=1048576-"),
		header("If-Range", "With Range: the ETag of the object that the caller has a part of. If the object has another ETag now, the answer is 200 with the whole. "+
			"Only strong ETags match.", etag),
		header("If-Match", "The ETags that the caller expects, or * for any. If the object has another ETag, the answer is 412.", etag),
		header("If-None-Match", "The ETags that the caller has. If the object has one of them, the answer is 304, without a body.", etag),
	}
}

// storedResponses are the answers to a request for something that is stored.
func storedResponses(contentType string, schema *huma.Schema) map[string]*huma.Response {
	header := func(description, example string) *huma.Param {
		return &huma.Param{Description: description, Schema: &huma.Schema{Type: huma.TypeString}, Example: example}
	}
	headers := map[string]*huma.Param{
		"ETag":                header("A strong validator for If-None-Match, If-Match and If-Range: the SHA-256.", `"`+storedSum+`"`),
		"Repr-Digest":         header("The SHA-256 of the whole, even if the answer is a range (RFC 9530).", "sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:"),
		"Content-Disposition": header("A file name to save the body under.", `attachment; filename="site.tar"`),
	}
	content := map[string]*huma.MediaType{contentType: {Schema: schema}}
	return map[string]*huma.Response{
		"200": {Description: "The whole object.", Headers: headers, Content: content},
		"206": {Description: "The requested range. A request for several ranges is answered with the whole.", Headers: headers, Content: content},
		"304": {Description: "The client has the current version already."},
	}
}

func (a *api) manifest(ctx context.Context, in *idInput) (*huma.StreamResponse, error) {
	asking, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	b, err := a.find(asking, in.ID)
	var data []byte
	if err == nil {
		data, err = a.client.Manifest(asking, b.ID)
	}
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	s := &stored{
		contentType: backup.ManifestContentType, filename: b.ID + "-manifest.json",
		size: int64(len(data)), sha256: digestOf(data), body: bytes.NewReader(data),
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) { s.send(ctx, a.stall) }}, nil //nolint:contextcheck // it is in there
}
