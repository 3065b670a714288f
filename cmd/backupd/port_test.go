package main_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/internal/env"
)

// atStablePort gives listen ports until one is not taken, and returns what it
// says of that one. They are ports that the system doesn't give to outgoing
// connections, so that who stops listening can begin again. Nothing is listened
// on to see whether a port is free: another process may take it after that, and
// one that is just being started may still have that socket.
func atStablePort(listen func(port int) error) (err error) {
	for range 100 {
		if err = listen(15000 + rand.IntN(15000)); !isTaken(err) {
			return err
		}
	}
	return fmt.Errorf("no free port: %w", err)
}

// again listens where it has listened before, as soon as nobody else does.
func again(ctx context.Context, listen func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := listen()
		if !isTaken(err) || !pause(ctx, 50*time.Millisecond) {
			return err
		}
	}
}

func isTaken(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, env.ErrPortTaken)
}

// What is to be stopped and started gets past ports that are taken, at its first
// start and at the next ones, and everything else that goes wrong is said.
func TestStablePort(t *testing.T) {
	t.Parallel()
	listen := func(port int) (net.Listener, error) { return net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)) }
	var own, others net.Listener
	var port, tried int
	require.NoError(t, atStablePort(func(p int) (err error) {
		if port = p; tried == 0 {
			if others, err = listen(p); err != nil {
				return err
			}
		}
		tried++
		own, err = listen(p)
		return err
	}))
	require.GreaterOrEqual(t, tried, 2)
	require.NoError(t, others.Close())

	var free sync.Once
	require.NoError(t, again(t.Context(), func() (err error) {
		defer free.Do(func() { _ = own.Close() })
		others, err = listen(port)
		return err
	}))
	require.NoError(t, others.Close())

	broken := errors.New("broken")
	fails := func() error { return broken }
	require.ErrorIs(t, again(t.Context(), fails), broken)
	require.ErrorIs(t, atStablePort(func(int) error { return fails() }), broken)
	taken := func() error { return fmt.Errorf("start: %w", env.ErrPortTaken) }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, again(ctx, taken), env.ErrPortTaken)
	require.ErrorContains(t, atStablePort(func(int) error { return taken() }), "no free port: ")
}
