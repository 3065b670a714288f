package env

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// oldestPostgres is the oldest major version that the migrations run on.
const oldestPostgres = 14

// versionPatience bounds how long a program may take to say its version.
const versionPatience = 10 * time.Second

// binaries are the programs of one installed Postgres.
type binaries struct {
	dir   string
	major int
}

func (b binaries) path(name string) string {
	return filepath.Join(b.dir, programName(name))
}

func programName(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}

var errNotInstalled = errors.New("no folder with initdb and postgres in it")

// Where packages put the programs that they keep out of the PATH.
var binaryGlobs = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin",
	"/usr/local/pgsql/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
	`C:\Program Files\PostgreSQL\*\bin`,
}

// findInstalled returns the first installation of the PATH, else the newest of the other places.
func findInstalled(ctx context.Context) (binaries, error) {
	var tooOld []error
	if path, err := exec.LookPath("postgres"); err == nil {
		b, err := inspectBinaries(ctx, filepath.Dir(path))
		if err == nil {
			return b, nil
		}
		tooOld = append(tooOld, err)
	}
	var found []binaries
	for _, dir := range binaryDirs(ctx) {
		b, err := inspectBinaries(ctx, dir)
		switch {
		case err == nil:
			found = append(found, b)
		case !errors.Is(err, exec.ErrNotFound):
			tooOld = append(tooOld, err)
		}
	}
	if len(found) == 0 {
		return binaries{}, errors.Join(append(tooOld, fmt.Errorf("%w: looked in PATH, pg_config --bindir, %s",
			errNotInstalled, strings.Join(binaryGlobs, ", ")))...)
	}
	return slices.MaxFunc(found, func(a, b binaries) int { return a.major - b.major }), nil
}

func binaryDirs(ctx context.Context) []string {
	var dirs []string
	ctx, cancel := context.WithTimeout(ctx, versionPatience)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, glob := range binaryGlobs {
		more, _ := filepath.Glob(glob)
		dirs = append(dirs, more...)
	}
	return dirs
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// inspectBinaries looks at the programs in dir, and refuses them if they lack one or are too old.
func inspectBinaries(ctx context.Context, dir string) (binaries, error) {
	b := binaries{dir: dir}
	for _, name := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(b.path(name)); err != nil {
			return binaries{}, fmt.Errorf("look in %s: %w", dir, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, versionPatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, b.path("postgres"), "--version").CombinedOutput()
	if err != nil {
		return binaries{}, fmt.Errorf("run postgres --version in %s: %w: %.300s", dir, err, out)
	}
	match := versionPattern.FindSubmatch(out)
	if match == nil {
		return binaries{}, fmt.Errorf("run postgres --version in %s: not understood: %.100q", dir, out)
	}
	b.major, _ = strconv.Atoi(string(match[1]))
	if b.major < oldestPostgres {
		return binaries{}, fmt.Errorf("PostgreSQL %d in %s is older than %d", b.major, dir, oldestPostgres)
	}
	return b, nil
}
