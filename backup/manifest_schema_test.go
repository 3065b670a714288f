package backup_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

func manifestSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(backup.ManifestSchema))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource("manifest.json", doc))
	s, err := c.Compile("manifest.json")
	require.NoError(t, err)
	return s
}

// described are the members of an object of the schema, and those it must have.
type described struct {
	Required   []string
	Properties map[string]any
}

// The schema has the members that the manifest has, and no others.
func TestManifestSchemaHasEveryMember(t *testing.T) {
	t.Parallel()
	var schema struct {
		described

		Schema string               `json:"$schema"`
		ID     string               `json:"$id"`
		Defs   map[string]described `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal([]byte(backup.ManifestSchema), &schema))
	require.Equal(t, "https://json-schema.org/draft/2020-12/schema", schema.Schema)
	require.Contains(t, schema.ID, "/v1.", "the version")
	require.InDelta(t, backup.ManifestVersion, schema.Properties["version"].(map[string]any)["const"], 0)
	for of, want := range map[reflect.Type]described{
		reflect.TypeFor[backup.Manifest]():       schema.described,
		reflect.TypeFor[backup.ManifestObject](): schema.Defs["object"],
		reflect.TypeFor[backup.Capture]():        schema.Defs["capture"],
		reflect.TypeFor[backup.ManifestPart]():   schema.Defs["part"],
	} {
		var all, required []string
		for i := range of.NumField() {
			name, options, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			all = append(all, name)
			if options != "omitempty" {
				required = append(required, name)
			}
		}
		require.ElementsMatch(t, slices.Collect(maps.Keys(want.Properties)), all, "%s", of)
		require.ElementsMatch(t, want.Required, required, "%s", of)
	}
	var proofs []any
	for _, p := range []backup.Proof{backup.ProofLength, backup.ProofDigest, backup.ProofFraming, backup.ProofNone} {
		proofs = append(proofs, string(p))
	}
	require.ElementsMatch(t, proofs, schema.Defs["object"].Properties["proof"].(map[string]any)["enum"])
}

func wholeManifest() *backup.Manifest {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)
	object := func(provider string, parts ...backup.ManifestPart) backup.ManifestObject {
		return backup.ManifestObject{
			Provider: provider, Key: "u/s/b/" + provider + "/1", UploadID: uuid.NewString(), Size: 11, SHA256: strings.Repeat("0f", 32),
			Proof: backup.ProofFraming, Capture: backup.Capture{From: at, To: at.Add(time.Second)}, Parts: append([]backup.ManifestPart{}, parts...),
		}
	}
	m := &backup.Manifest{
		Version: backup.ManifestVersion, BackupID: uuid.NewString(), UserID: "u é", SiteID: "s", Labels: map[string]string{"why": ""}, CreatedAt: at,
		Objects: []backup.ManifestObject{object("db"), object("site_2", backup.ManifestPart{Size: 11, CRC64: strings.Repeat("a0", 8)})},
	}
	m.Objects[1].ContentType = "application/x-tar"
	return m
}

// Each way of being broken is refused, by the member that is.
func TestManifestSchemaRefuses(t *testing.T) {
	t.Parallel()
	schema := manifestSchema(t)
	validate := func(change func(m map[string]any)) error {
		data, err := json.Marshal(wholeManifest())
		require.NoError(t, err)
		m, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
		require.NoError(t, err)
		change(m.(map[string]any))
		return schema.Validate(m)
	}
	require.NoError(t, validate(func(map[string]any) {}))
	require.NoError(t, validate(func(m map[string]any) { m["added"] = true }), "by a later release")
	require.NoError(t, validate(func(m map[string]any) { delete(m, "labels") }))
	root := func(m map[string]any) map[string]any { return m }
	object := func(m map[string]any) map[string]any { return m["objects"].([]any)[1].(map[string]any) }
	capture := func(m map[string]any) map[string]any { return object(m)["capture"].(map[string]any) }
	part := func(m map[string]any) map[string]any { return object(m)["parts"].([]any)[0].(map[string]any) }
	for _, test := range []struct {
		of    func(map[string]any) map[string]any
		key   string
		value any // nil: it is missing
	}{
		{root, "version", 2}, {root, "version", nil}, {root, "backupId", "x"}, {root, "backupId", nil}, {root, "userId", ""}, {root, "userId", nil},
		{root, "siteId", strings.Repeat("s", 201)}, {root, "siteId", nil}, {root, "labels", map[string]any{"": "x"}}, {root, "labels", map[string]any{"x": 1}},
		{root, "createdAt", "yesterday Z"}, {root, "createdAt", "2026-01-02T03:04:05+01:00"}, {root, "objects", []any{}}, {root, "objects", nil},
		{object, "provider", "Site"}, {object, "provider", nil}, {object, "key", ""}, {object, "key", nil}, {object, "uploadId", "1"}, {object, "uploadId", nil},
		{object, "contentType", 1}, {object, "size", -1}, {object, "size", 1.5}, {object, "size", "11"}, {object, "size", nil},
		{object, "sha256", strings.Repeat("0F", 32)}, {object, "sha256", "00"}, {object, "sha256", nil}, {object, "proof", "hope"}, {object, "proof", nil},
		{object, "capture", nil}, {object, "parts", nil}, {object, "parts", map[string]any{}}, {capture, "from", ""}, {capture, "to", nil},
		{part, "size", 0}, {part, "size", nil}, {part, "crc64", strings.Repeat("g", 16)}, {part, "crc64", nil},
	} {
		require.Error(t, validate(func(m map[string]any) {
			if of := test.of(m); test.value == nil {
				delete(of, test.key)
			} else {
				of[test.key] = test.value
			}
		}), "%s: %v", test.key, test.value)
	}
}
