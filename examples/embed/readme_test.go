package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The README shows exactly what this program does.
func TestReadme(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("main.go")
	require.NoError(t, err)
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, snippet, found := strings.Cut(string(source), "\t// README:begin\n")
	require.True(t, found)
	snippet, _, found = strings.Cut(snippet, "\t// README:end\n")
	require.True(t, found)
	snippet = strings.ReplaceAll("\n"+snippet, "\n\t", "\n") // one level less
	require.Contains(t, string(readme), "\n```go"+snippet+"```\n")
}
