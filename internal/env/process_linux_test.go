package env

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// script starts a shell script, and waits until it has said "ready".
func script(t *testing.T, text string) *process {
	t.Helper()
	ready := make(chan struct{})
	output := newTail("script", nil, func(line string) {
		if line == "ready" {
			close(ready)
		}
	})
	p, err := startProcess(exec.Command("/bin/sh", "-c", text), syscall.SIGTERM, output)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.stop(t.Context()) })
	<-ready
	return p
}

func TestStopGoesThroughItsSteps(t *testing.T) {
	t.Parallel()
	p := script(t, `trap 'echo no' INT; trap 'echo bye; exit' TERM; echo ready; while :; do sleep 0.05; done`)
	require.NoError(t, p.stop(t.Context(), step{syscall.SIGINT, 500 * time.Millisecond}, step{syscall.SIGTERM, time.Minute}))
	require.Equal(t, "  ready\n  no\n  bye", p.output.String())
	require.NoError(t, p.stop(t.Context(), step{syscall.SIGINT, time.Minute}), "it is gone")
}

func TestStopKillsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	p := script(t, `trap '' INT; echo ready; while :; do sleep 0.05; done`)
	require.ErrorContains(t, p.stop(t.Context(), step{syscall.SIGINT, 50 * time.Millisecond}), "was killed")
	require.True(t, p.ended())
}

func TestRunToEndQuotesTheLastOutput(t *testing.T) {
	t.Parallel()
	err := runToEnd(t.Context(), exec.Command("/bin/sh", "-c", "echo one; echo two >&2; exit 3"), newTail("script", nil, nil))
	require.EqualError(t, err, "run script: exit status 3; its last output:\n  one\n  two")
	require.ErrorIs(t, runToEnd(t.Context(), exec.Command("/no/such/program"), newTail("x", nil, nil)), os.ErrNotExist)
}

// A process whose watchdog's owner is gone is ended; the other systems than Linux rely on it.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	p := script(t, `trap 'echo told; exit' TERM; echo ready; while :; do sleep 0.05; done`)
	release, err := startWatchdog(p.cmd.Process.Pid, syscall.SIGTERM)
	require.NoError(t, err)
	release()
	require.False(t, p.ended(), "released in time")

	theirs, ours, err := os.Pipe()
	require.NoError(t, err)
	dog, err := watch(theirs, p.cmd.Process.Pid, syscall.SIGTERM)
	require.NoError(t, err)
	require.NoError(t, ours.Close()) // as the end of the owner does
	<-p.done
	require.Equal(t, "  ready\n  told", p.output.String())
	killGroup(dog)
	_ = dog.Wait()
}

func TestTailIsBounded(t *testing.T) {
	t.Parallel()
	out := newTail("x", nil, nil)
	require.Equal(t, "  (it said nothing)", out.String())
	long := strings.Repeat("a", 3*tailWidth)
	for range 3 * tailLines {
		_, err := out.Write([]byte(long[:tailWidth/3]))
		require.NoError(t, err)
		_, err = out.Write([]byte(long + "\r\nlast\npart"))
		require.NoError(t, err)
	}
	lines := strings.Split(out.String(), "\n")
	require.Len(t, lines, tailLines+1)
	require.Equal(t, "  part", lines[tailLines])
	require.Equal(t, "  last", lines[tailLines-1])
	for _, line := range lines {
		require.LessOrEqual(t, len(line), tailWidth+2)
	}
}
