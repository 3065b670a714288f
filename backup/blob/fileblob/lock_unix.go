//go:build unix

package fileblob

import (
	"context"
	"errors"
	"os"
	"path"
	"syscall"
	"time"
)

const (
	canLock = true

	lockPoll    = time.Millisecond // doubles up to lockPollMax
	lockPollMax = 50 * time.Millisecond
)

// lock waits for the lock of key's shard, among all processes that use the
// directory, and holds it until unlock. The system releases it when the process
// dies.
func (s *Store) lock(ctx context.Context, key string) (unlock func(), err error) {
	shard := shardOf(key)
	if err := s.mkdirAll(shard); err != nil {
		return nil, err
	}
	f, err := s.root.OpenFile(path.Join(shard, "lock"), os.O_RDWR|os.O_CREATE, filePerm)
	if err != nil {
		return nil, err
	}
	if err := flock(ctx, f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil // closing it unlocks
}

// flock asks again and again, since a call that waits can't be canceled.
func flock(ctx context.Context, f *os.File) error {
	for wait := lockPoll; ; wait = min(2*wait, lockPollMax) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("flock", err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

func isNotDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }

// rmdir removes an empty directory, and nothing else.
func rmdir(name string) error { return syscall.Rmdir(name) }
