package backuptest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sitebackup/sitebackup/backup"
)

// Case is one check of a provider.
type Case struct {
	// Name says what is checked: "CutIsNoEnd".
	Name string

	// Run does it. Two cases may run at once. A provider that hangs keeps
	// goroutines after Run has returned.
	Run func(ctx context.Context, p backup.Provider) error
}

// Run checks a provider in subtests, in parallel.
func Run(t *testing.T, p backup.Provider, opts *Options) {
	t.Helper()
	for _, c := range Cases(opts) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			if err := c.Run(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Cases returns the checks that opts, which may be nil, ask for. Each covers
// sentences of the comments of backup.Provider and backup.Export.
func Cases(opts *Options) []Case {
	o := opts.withDefaults()
	var cases []Case
	add := func(when bool, name string, check func(context.Context, *bench) error) {
		if when {
			cases = append(cases, makeCase(o, name, check))
		}
	}
	add(true, "Whole", checkWhole)
	add(true, "Again", checkAgain)
	add(true, "SmallReads", checkSmallReads)
	add(true, "Concurrently", checkConcurrently)
	add(o.Other != nil, "OthersAreSeparate", checkOthersAreSeparate)

	add(true, "Resume", checkResume)
	add(true, "ResumeAtTheEnd", checkResumeAtTheEnd)
	add(true, "ResumeWithWrongValidator", checkResumeWithWrongValidator)
	add(true, "ResumeWithoutValidator", checkResumeWithoutValidator)
	add(true, "ResumeWithWrongCursor", checkResumeWithWrongCursor)

	add(true, "Canceled", checkCanceled)
	add(true, "CloseEarly", checkCloseEarly)
	add(o.Stalled != nil, "CancelEndsRead", checkCancelEndsRead)
	add(o.Stalled != nil, "CloseEndsRead", checkCloseEndsRead)
	add(o.Cut != nil, "CutIsNoEnd", checkCutIsNoEnd)
	add(len(o.Refusals) > 0, "Refusals", checkRefusals)
	return cases
}

// makeCase bounds a check, and looks for secrets in what the provider said.
func makeCase(o *Options, name string, check func(context.Context, *bench) error) Case {
	return Case{Name: name, Run: func(ctx context.Context, p backup.Provider) error {
		ctx, cancel := context.WithTimeout(ctx, o.Timeout)
		defer cancel()
		b := &bench{provider: p, Options: o}
		err := within(o.Timeout+o.Soon, name, func() error { return check(ctx, b) })
		if leak := b.leaked(); leak != nil {
			err = leak // and not what holds the secret
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}}
}

var errHangs = errors.New("did not return")

// within runs fn, and gives up waiting for it after limit: nothing else helps
// with a provider that hangs.
func within(limit time.Duration, what string, fn func() error) error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("%s: %w within %s", what, errHangs, limit)
	}
}
