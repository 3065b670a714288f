//go:build ignore

// Command generate writes the OpenAPI description that the server has, and the
// client that is generated from it. Both are committed: what changes them shows
// in a review. It writes them here or, with a directory as its argument, there.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi"
)

const generator = "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2"

func main() {
	dir := "."
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	if err := run(dir); err != nil {
		log.Fatal(err)
	}
}

func run(dir string) error {
	doc, err := describe()
	if err != nil {
		return err
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, doc, "", "  "); err != nil {
		return err
	}
	pretty.WriteByte('\n')
	if err := os.WriteFile(filepath.Join(dir, "openapi.json"), pretty.Bytes(), 0o644); err != nil {
		return err
	}
	old, err := downgrade(doc)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "openapi-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	file := filepath.Join(tmp, "openapi.json")
	if err := os.WriteFile(file, old, 0o600); err != nil {
		return err
	}
	cmd := exec.Command("go", "run", generator, "-config", "oapi-codegen.yaml", "-o", filepath.Join(dir, "client.gen.go"), file)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", generator, err)
	}
	return nil
}

// describe asks a server, as a client would.
func describe() ([]byte, error) {
	c, err := backup.New(&backup.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	handler, err := httpapi.NewHandler(c, nil)
	if err != nil {
		return nil, err
	}
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
	return rec.Body.Bytes(), nil
}

// downgrade makes OpenAPI 3.0 of it, which is what the generator reads.
func downgrade(doc []byte) ([]byte, error) {
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		return nil, err
	}
	v = old(v)
	v.(map[string]any)["openapi"] = "3.0.3"
	return json.Marshal(v)
}

// old turns what 3.1 writes otherwise: types with null, exclusive bounds as
// numbers, examples as lists.
func old(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = old(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = old(v[name])
		}
		if types, ok := v["type"].([]any); ok {
			v["type"], v["nullable"] = types[0], true
		}
		for exclusive, bound := range map[string]string{"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"} {
			if n, ok := v[exclusive].(float64); ok {
				v[bound], v[exclusive] = n, true
			}
		}
		if v["in"] == "query" && v["name"] == "lastEventId" {
			v["x-go-name"] = "LastEventIDQuery" // the header has the name already
		}
		if list, ok := v["examples"].([]any); ok {
			v["example"] = list[0]
			delete(v, "examples")
		}
	}
	return v
}
