package blob_test

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/internal/envtest"
)

// What a process really grows by, as the system counts it, is what is stated and
// 32 MiB more at most: however long the export, however many at once, however
// large the parts have grown.
func TestResidentMemory(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "memory")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./internal/memory").CombinedOutput()
	require.NoError(t, err, string(out))

	size := func(small, full int) string { return strconv.Itoa(envtest.Count(small, full) * mib) }
	for _, c := range []struct {
		name   string
		stated int64 // MiB
		flags  []string
	}{
		{"one task", 40, []string{"-size", size(256, 20<<10)}},
		{"pages", 40, []string{"-size", size(128, 20<<10), "-page", "3000001"}},
		{"16 tasks of small parts", 160, []string{"-tasks", "16", "-part", size(2, 2), "-size", size(16, 2<<10)}},
		{"16 tasks on a budget", 128, []string{"-tasks", "16", "-budget", size(128, 128), "-size", size(24, 2<<10)}},
		{"parts of 128 MiB", 256, []string{"-from", "40000", "-size", size(384, 20<<10)}},
		{"parts of 128 MiB in pages", 256, []string{"-from", "40000", "-size", size(256, 20<<10), "-page", "100000000"}},
		{"parts of 128 MiB on a budget", 128, []string{"-tasks", "2", "-from", "40000", "-budget", size(128, 128), "-size", size(128, 10<<10)}},
	} {
		t.Run(c.name, func(t *testing.T) { // one at a time: each takes what it may
			out, err := exec.CommandContext(t.Context(), program, c.flags...).CombinedOutput()
			require.NoError(t, err, string(out))
			growth, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
			require.NoError(t, err)
			t.Logf("grew by %d MiB, %d MiB are stated", growth/mib, c.stated)
			require.LessOrEqual(t, growth, (c.stated+32)*mib)
			require.Greater(t, growth, c.stated*mib/4, "too little to mean anything")
		})
	}
}
