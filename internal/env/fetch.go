package env

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// fetchPatience bounds one installation, also over a slow line.
const fetchPatience = 5 * time.Minute

// lockInterval is how often a process that waits for another one's installation looks again.
const lockInterval = 100 * time.Millisecond

// npmPackage is a package of programs at one version.
type npmPackage struct {
	name, version string
	integrity     string                    // as npm states it; empty where it is not pinned
	finish        func(module string) error // completes the package before anybody sees it; nil for nothing
}

func (p npmPackage) String() string { return p.name + "@" + p.version }

// module is where the package's own files are in an installation.
func (p npmPackage) module(dir string) string {
	return filepath.Join(dir, "node_modules", filepath.FromSlash(p.name))
}

// fetch returns the folder of the package's files, installed with npm into the cache if it is not
// there yet. Of several processes that want it at once, one installs it and the others wait.
func (p npmPackage) fetch(ctx context.Context, cache string, log *slog.Logger) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, fetchPatience, fmt.Errorf("no result after %v", fetchPatience))
	defer cancel()
	dir := filepath.Join(cache, strings.NewReplacer("/", "-", "@", "").Replace(p.name)+"-"+p.version)
	if isDir(dir) {
		return p.module(dir), nil
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", p, err)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("make cache: %w", err)
	}
	unlock, err := lockFile(ctx, dir+".lock")
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", p, err)
	}
	defer unlock()
	if isDir(dir) {
		return p.module(dir), nil
	}
	if err := p.install(ctx, npm, dir, log); err != nil {
		return "", fmt.Errorf("fetch %s: %w", p, err)
	}
	return p.module(dir), nil
}

// install builds the folder under another name and renames it, so that it is whole or not there. The
// caller holds the lock, so what it finds half done is nobody's.
func (p npmPackage) install(ctx context.Context, npm, dir string, log *slog.Logger) error {
	left, _ := filepath.Glob(dir + ".new-*")
	for _, path := range left {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove what was left: %w", err)
		}
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".new-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	err = p.fill(ctx, npm, fresh, log)
	if err == nil {
		err = os.Rename(fresh, dir)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	return nil
}

// fill installs into dir. No package's script is run: what they would do, finish does.
func (p npmPackage) fill(ctx context.Context, npm, dir string, log *slog.Logger) error {
	orDiscard(log).InfoContext(ctx, "downloading, once", "package", p.String(), "to", filepath.Dir(dir))
	cmd := command(ctx, npm, "install", "--prefix", dir, "--global=false", "--no-save", "--no-package-lock",
		"--no-audit", "--no-fund", "--no-progress", "--ignore-scripts", "--omit=dev", "--engine-strict=false",
		"--loglevel=error", p.String())
	cmd.Dir = dir
	if err := runToEnd(ctx, cmd, newTail("npm", log, nil)); err != nil {
		return err
	}
	if err := p.checkIntegrity(dir); err != nil {
		return err
	}
	if p.finish != nil {
		if err := p.finish(p.module(dir)); err != nil {
			return fmt.Errorf("complete package: %w", err)
		}
	}
	return openToAll(dir)
}

// checkIntegrity compares what npm says it has installed with what is pinned here.
func (p npmPackage) checkIntegrity(dir string) error {
	if p.integrity == "" {
		return nil
	}
	var lock struct {
		Packages map[string]struct{ Integrity string }
	}
	data, err := os.ReadFile(filepath.Join(dir, "node_modules", ".package-lock.json"))
	if err == nil {
		err = json.Unmarshal(data, &lock)
	}
	if err != nil {
		return fmt.Errorf("check integrity: %w", err)
	}
	if got := lock.Packages["node_modules/"+p.name].Integrity; got != p.integrity {
		return fmt.Errorf("check integrity: got %q, not %q", got, p.integrity)
	}
	return nil
}

// openToAll lets every user read and run what was installed, whatever the umask: a server that root
// starts runs as another user.
func openToAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode)
	})
}

// lockFile waits until this process holds the lock, or ctx is done.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|noFollow, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	tick := time.NewTicker(lockInterval)
	defer tick.Stop()
	for {
		mine, err := tryLock(f)
		if mine {
			return func() { _ = f.Close() }, nil
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for lock %s: %w", path, context.Cause(ctx)), f.Close())
		}
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
