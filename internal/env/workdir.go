package env

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The file in a working directory on which its owner holds a lock while it lives.
const ownerFile = "owner.lock"

const workPrefix = "sitebackup-"

var errInUse = errors.New("another process uses it")

// workDir is where a server keeps its files. A temporary one is removed when it is closed; one whose
// owner was killed is removed by the next process that makes one.
type workDir struct {
	path  string
	temp  bool
	owner *os.File
}

// openWorkDir takes the directory given, made if need be, or a new temporary one if none is.
func openWorkDir(name, given string, a account) (*workDir, error) {
	if given == "" {
		return tempWorkDir(name, a)
	}
	path, err := filepath.Abs(given)
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	return takeWorkDir(path, a)
}

// tempWorkDir makes a directory under another name, takes it, and then gives it its own name, so
// that a sweep never meets one that has no owner yet.
func tempWorkDir(name string, a account) (*workDir, error) {
	base, err := tempBase(a)
	if err != nil {
		return nil, err
	}
	prefix := filepath.Join(base, workPrefix+name+"-")
	sweep(prefix, a)
	fresh, err := os.MkdirTemp(base, workPrefix+"new-"+name+"-")
	if err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	w, err := takeWorkDir(fresh, a)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(fresh))
	}
	w.temp = true
	path := prefix + strings.TrimPrefix(filepath.Base(fresh), workPrefix+"new-"+name+"-")
	if err := os.Rename(fresh, path); err != nil {
		return nil, errors.Join(fmt.Errorf("name directory: %w", err), w.close())
	}
	w.path = path
	return w, nil
}

// tempBase returns the first of the usual temporary directories that the account can get to.
func tempBase(a account) (string, error) {
	var errs []error
	for _, dir := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		err := a.checkReach(dir)
		if err == nil {
			return dir, nil
		}
		errs = append(errs, err)
	}
	return "", fmt.Errorf("find temporary directory: %w", errors.Join(errs...))
}

// takeWorkDir locks a directory for this process and gives it to the account.
func takeWorkDir(path string, a account) (*workDir, error) {
	owner, err := os.OpenFile(filepath.Join(path, ownerFile), os.O_CREATE|os.O_RDWR|noFollow, 0o600)
	if err != nil {
		return nil, fmt.Errorf("take directory: %w", err)
	}
	w := &workDir{path: path, owner: owner}
	mine, err := tryLock(owner)
	if err == nil && !mine {
		err = errInUse
	}
	if err == nil {
		err = a.give(path)
	}
	if err == nil {
		err = a.checkReach(path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("take directory %s: %w", path, err), owner.Close())
	}
	return w, nil
}

// close lets go of the directory, and removes it if it is a temporary one.
func (w *workDir) close() error {
	var err error
	if w.temp {
		err = os.RemoveAll(w.path)
	}
	return errors.Join(err, w.owner.Close())
}

// sweep removes the directories of owners that were killed before they could. What it cannot remove
// it leaves: it is housekeeping on the way to something else.
func sweep(prefix string, a account) {
	paths, _ := filepath.Glob(prefix + "*")
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() || !ownedBy(info, a) {
			continue
		}
		owner, err := os.OpenFile(filepath.Join(path, ownerFile), os.O_RDWR|noFollow, 0)
		if err != nil {
			continue
		}
		if orphan, err := tryLock(owner); err == nil && orphan {
			_ = os.RemoveAll(path)
		}
		_ = owner.Close()
	}
}
