//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package env

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// The watchdog reads until the other end of its standard input is gone, which is when the owner is
// gone, however it ended. Then it ends the process, gently first.
const watchdogScript = `cat >/dev/null
kill -"$1" "$0" 2>/dev/null || exit 0
sleep 10
kill -KILL "$0" 2>/dev/null`

// startWatchdog starts a shell that sends the process pid the signal last, and ten seconds later kills
// it, when this process ends without having called the function returned. That must be called as soon
// as the process is gone.
func startWatchdog(pid int, last syscall.Signal) (func(), error) {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start watchdog: %w", err)
	}
	dog, err := watch(theirs, pid, last)
	if err != nil {
		_ = ours.Close()
		return nil, fmt.Errorf("start watchdog: %w", err)
	}
	return func() {
		killGroup(dog) // before its input ends: the pid may be another's by now
		_ = dog.Wait()
		_ = ours.Close()
	}, nil
}

// watch starts the shell on the end of the pipe that is to be read, and closes this process's copy.
func watch(theirs *os.File, pid int, last syscall.Signal) (*exec.Cmd, error) {
	dog := command(context.Background(), "/bin/sh", "-c", watchdogScript, strconv.Itoa(pid), strconv.Itoa(int(last)))
	dog.Stdin = theirs
	sysProcAttr(dog).Setpgid = true
	return dog, errors.Join(dog.Start(), theirs.Close())
}
