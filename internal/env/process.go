package env

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// outputPatience is how long after a process's end its children may still hold its output open.
const outputPatience = 5 * time.Second

// process is a child that does not outlive its owner, however the owner ends: it is stopped in order
// by stop, and by the system when the owner is gone. It has a process group of its own, so that a
// Ctrl-C in the terminal reaches the owner alone, which stops it when it no longer needs it.
type process struct {
	name   string
	cmd    *exec.Cmd
	last   syscall.Signal // what it gets when its owner is gone
	output *tail
	done   chan struct{} // closed when it has ended and was waited for
	err    error         // how it ended; to be read after done
}

// command returns a command for startProcess. The end of ctx does not end it: a server outlives its
// start's context, and whoever starts it stops it.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(context.WithoutCancel(ctx), name, args...)
}

// startProcess starts cmd with its output in output. The caller stops it; if the caller is gone
// before, it gets the signal last.
func startProcess(cmd *exec.Cmd, last syscall.Signal, output *tail) (*process, error) {
	cmd.Stdout, cmd.Stderr = output, output
	cmd.WaitDelay = outputPatience
	setOwnGroup(cmd, last)
	p := &process{name: output.name, cmd: cmd, last: last, output: output, done: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	return p, nil
}

// run owns the process from its start to its end. On Linux the child's death is tied to the thread
// that started it, not to the whole owner, so the goroutine keeps its thread all the while.
func (p *process) run(started chan<- error) {
	defer close(p.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	untie, err := tieToOwner(p.cmd.Process.Pid, p.last)
	if err != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		started <- err
		return
	}
	started <- nil
	p.err = p.cmd.Wait()
	untie()
}

// step is a signal, and how long to wait for its effect.
type step struct {
	signal   os.Signal
	patience time.Duration
}

// stop sends the signals one after the other until the process has ended, and kills it when none
// helped. When ctx is done, it waits no longer between them. It returns once the process is gone.
func (p *process) stop(ctx context.Context, steps ...step) error {
	for _, s := range steps {
		err := p.cmd.Process.Signal(s.signal)
		if errors.Is(err, os.ErrProcessDone) {
			<-p.done // soon: only its output may still be open
			return nil
		}
		if err == nil && p.wait(ctx, s.patience) {
			return nil
		}
	}
	killGroup(p.cmd)
	<-p.done
	return fmt.Errorf("stop %s: it did not end in time and was killed", p.name)
}

// wait reports whether the process ended within the time.
func (p *process) wait(ctx context.Context, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-p.done:
		return true
	case <-ctx.Done():
		return p.ended()
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// errEnded is how a process ended that was to go on.
var errEnded = errors.New("it ended")

// endedBy says how the process ended, after it did.
func (p *process) endedBy() error {
	return fmt.Errorf("%w: %v", errEnded, p.cmd.ProcessState)
}

// runToEnd runs cmd and returns an error with the last lines of its output when it fails or when ctx
// is done first.
func runToEnd(ctx context.Context, cmd *exec.Cmd, output *tail) error {
	p, err := startProcess(cmd, syscall.SIGTERM, output)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		killGroup(cmd)
		<-p.done
		return fmt.Errorf("run %s: %w; its last output:\n%s", p.name, context.Cause(ctx), output)
	}
	if p.err != nil {
		return fmt.Errorf("run %s: %w; its last output:\n%s", p.name, p.err, output)
	}
	return nil
}
