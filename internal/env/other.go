//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package env

import (
	"io/fs"
	"os"
	"os/exec"
	"syscall"
)

// On other systems a process is stopped by its owner only, runs as its owner, and locks are not
// taken: a package may be fetched twice, and the later one finds the first in its place.

func setOwnGroup(*exec.Cmd, syscall.Signal) {}

func tieToOwner(int, syscall.Signal) (func(), error) { return func() {}, nil }

func runAs(*exec.Cmd, account) {}

func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

func mayEnter(fs.FileInfo, account) bool { return true }

func ownedBy(fs.FileInfo, account) bool { return false }

func tryLock(*os.File) (bool, error) { return true, nil }

const noFollow = 0
