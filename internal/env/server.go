package env

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	readyPatience   = time.Minute
	connectPatience = 10 * time.Second
)

// What Postgres says, in the C locale that it is run in.
const (
	saysReady     = "database system is ready to accept connections"
	saysPortTaken = "could not bind"
)

// ErrPortTaken is why a service doesn't start on the port that was asked for.
var ErrPortTaken = errors.New("the port is taken")

// start runs the server on a free port. A port that is free now may be taken when the server gets to
// it: then another one is tried.
func (c *cluster) start(ctx context.Context) error {
	var err error
	for range c.opts.Tries {
		if c.port = c.opts.Port; c.port == 0 {
			if c.port, err = c.freePort(ctx); err != nil {
				return err
			}
		}
		if err = c.startOnce(ctx); !errors.Is(err, ErrPortTaken) || c.opts.Port != 0 {
			return err
		}
	}
	return err
}

// freePort returns a port of loopback that nobody listens on now.
func freePort(ctx context.Context) (int, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

func (c *cluster) startOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyPatience, fmt.Errorf("not ready after %v", readyPatience))
	defer cancel()
	ready := make(chan struct{})
	var isReady, portTaken atomic.Bool
	output := newTail("postgres", c.opts.Log, func(line string) {
		if strings.Contains(line, saysPortTaken) {
			portTaken.Store(true)
		}
		if strings.Contains(line, saysReady) && isReady.CompareAndSwap(false, true) {
			close(ready)
		}
	})
	server, err := startProcess(c.command(ctx, "postgres", c.settings()...), syscall.SIGQUIT, output)
	if err != nil {
		return err
	}
	c.server = server
	select {
	case <-ready:
		err = pingPostgres(ctx, c.url())
	case <-server.done:
		err = server.endedBy()
		if portTaken.Load() {
			err = fmt.Errorf("port %d: %w", c.port, ErrPortTaken)
		}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		err = fmt.Errorf("start postgres: %w; its last output:\n%s", err, output)
		return errors.Join(err, c.stopServer(context.WithoutCancel(ctx)))
	}
	return nil
}

// pingPostgres connects once.
func pingPostgres(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return conn.Close(ctx)
}

// stopServer asks for a fast shutdown, then for an immediate one.
func (c *cluster) stopServer(ctx context.Context) error {
	return c.server.stop(ctx, step{syscall.SIGINT, 15 * time.Second}, step{syscall.SIGQUIT, 5 * time.Second})
}

// stop ends the server and lets go of the directory.
func (c *cluster) stop(ctx context.Context) error {
	return errors.Join(c.stopServer(ctx), c.dir.close())
}
