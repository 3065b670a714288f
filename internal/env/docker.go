package env

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	enginePatience    = 5 * time.Second
	containerPatience = 5 * time.Minute // with the download of the image
	lookInterval      = 200 * time.Millisecond
)

// A container's program runs as its first process; beside it a shell reads the standard input, which
// is a pipe that this process holds. When this process ends, however it ends, the pipe does too, and
// the shell interrupts the program until the container is gone. So no container is left behind, and
// no second container is needed to look after that.
const containerScript = `exec 3<&0
{ cat <&3 >/dev/null; while kill -INT 1; do sleep 1; done; } &
exec "$@" </dev/null`

// container is what is run, and where it listens.
type container struct {
	name, image string
	env         []string // NAME=value; the values are not put on a command line
	port        string   // inside the container, as in 5432
	command     []string
}

// running is a container that was started.
type running struct {
	id     string
	client *process
	input  io.Closer
	addr   string // host:port on this machine
}

// runContainer starts a container that ends with this process, and waits until probe, which gets its
// address, returns nil.
func runContainer(ctx context.Context, c container, log *slog.Logger, probe func(ctx context.Context, addr string) error) (*running, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, containerPatience, fmt.Errorf("not ready after %v", containerPatience))
	defer cancel()
	if err := checkEngine(ctx); err != nil {
		return nil, err
	}
	r := &running{id: workPrefix + c.name + "-" + strings.ToLower(rand.Text())}
	args := []string{"run", "--rm", "--interactive", "--name", r.id, "--publish", "127.0.0.1::" + c.port, "--entrypoint", "sh"}
	for _, pair := range c.env {
		name, _, _ := strings.Cut(pair, "=")
		args = append(args, "--env", name)
	}
	args = append(args, c.image, "-c", containerScript, "sh")
	cmd := command(ctx, "docker", append(args, c.command...)...)
	cmd.Env = append(os.Environ(), c.env...)
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start container: %w", err)
	}
	r.input = input
	if r.client, err = startProcess(cmd, syscall.SIGTERM, newTail("docker", log, nil)); err != nil {
		return nil, errors.Join(err, input.Close())
	}
	if err := r.awaitReady(ctx, c.port, probe); err != nil {
		err = fmt.Errorf("start container from %s: %w; its last output:\n%s", c.image, err, r.client.output)
		return nil, errors.Join(err, r.stop(context.WithoutCancel(ctx)))
	}
	return r, nil
}

// checkEngine finds out quickly whether a Docker engine answers.
func checkEngine(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, enginePatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}").CombinedOutput()
	if err != nil {
		return fmt.Errorf("find docker engine: %w: %.300s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// awaitReady looks for the container's port, and then at what is behind it, until that answers.
func (r *running) awaitReady(ctx context.Context, port string, probe func(context.Context, string) error) error {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	last := errors.New("it has no port yet")
	for {
		select {
		case <-tick.C:
		case <-r.client.done:
			return r.client.endedBy()
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), last)
		}
		out, err := exec.CommandContext(ctx, "docker", "port", r.id, port).Output()
		if err != nil {
			continue
		}
		r.addr, _, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
		if last = probe(ctx, r.addr); last == nil {
			return nil
		}
	}
}

// stop lets go of the container's input, on which it ends and is removed; and removes it by force
// when it does not.
func (r *running) stop(ctx context.Context) error {
	err := r.input.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	if r.client.wait(ctx, 20*time.Second) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	if out, rmErr := exec.CommandContext(ctx, "docker", "rm", "--force", "--volumes", r.id).CombinedOutput(); rmErr != nil {
		err = errors.Join(err, fmt.Errorf("remove container %s: %w: %.300s", r.id, rmErr, out))
	}
	return errors.Join(err, r.client.stop(ctx, step{syscall.SIGTERM, 5 * time.Second}))
}
