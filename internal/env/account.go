package env

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// account is the user as which a server runs.
type account struct {
	name     string
	uid, gid int
	other    bool // not the user of this process
}

// overflowID is the id that unprivileged users have by convention where no account is named.
const overflowID = 65534

// serverAccount returns the user of this process; or, as Postgres refuses to run as root, an
// unprivileged one if that is root.
func serverAccount() account {
	if os.Geteuid() != 0 {
		return currentAccount()
	}
	for _, name := range []string{"postgres", "nobody"} {
		if a, ok := lookupAccount(name); ok {
			return a
		}
	}
	return account{name: strconv.Itoa(overflowID), uid: overflowID, gid: overflowID, other: true}
}

func currentAccount() account {
	return account{name: "the current user", uid: os.Geteuid(), gid: os.Getegid()}
}

func lookupAccount(name string) (account, bool) {
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, false
	}
	uid, errUID := strconv.Atoi(u.Uid)
	gid, errGID := strconv.Atoi(u.Gid)
	if errUID != nil || errGID != nil || uid <= 0 {
		return account{}, false
	}
	return account{name: name, uid: uid, gid: gid, other: true}, true
}

// give makes the account own the file.
func (a account) give(path string) error {
	if !a.other {
		return nil
	}
	return os.Lchown(path, a.uid, a.gid)
}

// checkReach returns an error that names the directory that keeps the account from getting to path.
func (a account) checkReach(path string) error {
	if !a.other {
		return nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return err
	}
	for dir := path; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if info.IsDir() && !mayEnter(info, a) {
			return fmt.Errorf("user %s cannot reach %s: %s has mode %v: %w", a.name, path, dir, info.Mode().Perm(), fs.ErrPermission)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}
