//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package env

import (
	"os/exec"
	"syscall"
)

// setOwnGroup gives the process a group of its own.
func setOwnGroup(cmd *exec.Cmd, _ syscall.Signal) { sysProcAttr(cmd).Setpgid = true }

// tieToOwner starts a watchdog, because these systems have no parent-death signal.
func tieToOwner(pid int, last syscall.Signal) (func(), error) { return startWatchdog(pid, last) }
