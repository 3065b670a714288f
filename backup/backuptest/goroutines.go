package backuptest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	label     = "backuptest"
	lookEvery = 10 * time.Millisecond
)

// leavesNone runs fn, and checks that fewer than limit goroutines are left soon of
// those that it has started. They inherit a label from it, so that other tests'
// don't count.
func leavesNone(ctx context.Context, limit int, soon time.Duration, fn func(context.Context) error) error {
	id := uuid.NewString()
	var err error
	pprof.Do(ctx, pprof.Labels(label, id), func(ctx context.Context) { err = fn(ctx) })
	if err != nil {
		return err
	}
	timer := time.NewTimer(soon)
	defer timer.Stop()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		n, stack, err := goroutines(id)
		if err != nil || n < limit {
			return err
		}
		select {
		case <-tick.C:
		case <-timer.C:
			return fmt.Errorf("%d goroutines are left behind, many of them in\n%s", n, stack)
		}
	}
}

// goroutines counts the goroutines with this label, and returns the stack that
// most of them have.
func goroutines(id string) (n int, stack string, err error) {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		return 0, "", fmt.Errorf("list goroutines: %w", err)
	}
	// Goroutines with one stack and one set of labels are listed together, the most
	// frequent first:
	//
	//	3 @ 0x47d96e 0x45f146
	//	# labels: {"backuptest":"..."}
	//	#	0x4dc0ae	main.main.func1.1+0xe	/src/main.go:4
	want := fmt.Sprintf("%q:%q", label, id)
	var count int
	var ours, first bool
	lines := bufio.NewScanner(&profile)
	for lines.Scan() {
		line := lines.Text()
		if _, err := fmt.Sscanf(line, "%d @", &count); err == nil {
			ours = false
			continue
		}
		switch {
		case strings.HasPrefix(line, "# labels: ") && strings.Contains(line, want):
			first = n == 0
			ours = true
			n += count
		case ours && first && strings.HasPrefix(line, "#\t"):
			stack += line + "\n"
		}
	}
	return n, stack, lines.Err()
}
