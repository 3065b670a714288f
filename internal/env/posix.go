//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package env

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
)

// sysProcAttr returns the command's attributes, made if need be.
func sysProcAttr(cmd *exec.Cmd) *syscall.SysProcAttr {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	return cmd.SysProcAttr
}

// runAs makes the command run as the account.
func runAs(cmd *exec.Cmd, a account) {
	if a.other {
		sysProcAttr(cmd).Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
}

// killGroup kills the process and the children that stayed in its group.
func killGroup(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
}

// mayEnter reports whether the account may enter the directory.
func mayEnter(info fs.FileInfo, a account) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return true
	case int(stat.Uid) == a.uid:
		return info.Mode()&0o100 != 0
	case int(stat.Gid) == a.gid:
		return info.Mode()&0o010 != 0
	default:
		return info.Mode()&0o001 != 0
	}
}

// ownedBy reports whether the file belongs to the account.
func ownedBy(info fs.FileInfo, a account) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == a.uid
}

// tryLock locks the file for this process, and reports false if another one holds it. The lock goes
// when the file is closed or the process ends.
func tryLock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// noFollow makes an open fail on a symbolic link, and not wait on a pipe.
const noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
