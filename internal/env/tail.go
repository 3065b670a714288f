package env

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
)

// Enough of a server's output to see why it did not start, and never more.
const (
	tailLines = 30
	tailWidth = 1000
)

// tail is where a process writes: it keeps the last lines, logs each, and shows each to watch.
type tail struct {
	name  string
	log   *slog.Logger
	watch func(line string) // called by one goroutine at a time; nil for none

	mu      sync.Mutex
	lines   []string
	partial []byte
}

func newTail(name string, log *slog.Logger, watch func(line string)) *tail {
	return &tail{name: name, log: orDiscard(log), watch: watch}
}

// Write takes the next bytes of output. It never fails, so that the process is never held up.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	for {
		line, rest, whole := bytes.Cut(p, []byte{'\n'})
		t.partial = append(t.partial, line[:min(len(line), tailWidth-min(tailWidth, len(t.partial)))]...)
		if !whole {
			return n, nil
		}
		t.keep(strings.TrimRight(string(t.partial), "\r"))
		t.partial, p = t.partial[:0], rest
	}
}

func (t *tail) keep(line string) {
	if line == "" {
		return
	}
	t.lines = append(t.lines, line)
	if len(t.lines) > tailLines {
		t.lines = t.lines[1:]
	}
	t.log.Log(context.Background(), slog.LevelDebug, line, "from", t.name)
	if t.watch != nil {
		t.watch(line)
	}
}

// String returns the last lines, indented.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.lines
	if len(t.partial) > 0 {
		all = append(all[:len(all):len(all)], string(t.partial))
	}
	if len(all) == 0 {
		return "  (it said nothing)"
	}
	return "  " + strings.Join(all, "\n  ")
}
