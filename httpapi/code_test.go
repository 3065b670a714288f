package httpapi_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
)

// The package's documentation has the list as it is.
func TestCodesAreDocumented(t *testing.T) {
	t.Parallel()
	var want strings.Builder
	for _, i := range httpapi.Codes() {
		fmt.Fprintf(&want, "//   - %s (%d): %s\n", i.Code, i.Status, i.Meaning)
	}
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	require.Contains(t, string(doc), "//\n"+want.String()+"//\n")
}

// So has the OpenAPI description, where every answer that isn't a success names
// its codes.
func TestCodesInOpenAPI(t *testing.T) {
	t.Parallel()
	var enum []any
	statuses := make(map[httpapi.Code]int)
	doc := description(t)
	problem, ok := doc.Components.Schemas["Problem"].(map[string]any)
	require.True(t, ok)
	code, ok := problem["properties"].(map[string]any)["code"].(map[string]any)
	require.True(t, ok)
	for _, i := range httpapi.Codes() {
		enum = append(enum, string(i.Code))
		statuses[i.Code] = i.Status
		require.Contains(t, code["description"], fmt.Sprintf("- `%s` (%d): %s", i.Code, i.Status, i.Meaning))
		require.NotContains(t, i.Meaning[:len(i.Meaning)-1], ". ", "one sentence")
	}
	require.Equal(t, enum, code["enum"])
	for path, item := range doc.Paths {
		for method, op := range item {
			for status, res := range op.Responses {
				if status[0] < '4' {
					continue
				}
				require.NotEmpty(t, res.Codes, "%s %s %s", method, path, status)
				for _, c := range res.Codes {
					require.Equal(t, status, fmt.Sprint(statuses[c]), "%s %s: %s", method, path, c)
					require.Contains(t, res.Description, "`"+string(c)+"`: ")
				}
			}
		}
	}
}
