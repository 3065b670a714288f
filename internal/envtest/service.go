package envtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

const (
	// startPatience covers the first download of an image or a package.
	startPatience = 8 * time.Minute
	stopPatience  = 30 * time.Second
)

// service is one server for all tests of a test binary, started when the first one asks for it.
type service struct {
	start func(context.Context, settings) (running, error)

	mu      sync.Mutex
	asked   bool
	running running
	err     error
}

// running is where a server is, and how it is stopped.
type running struct {
	url  string
	stop func(context.Context) error
}

var services = struct{ postgres, azurite service }{
	postgres: service{start: startPostgres},
	azurite:  service{start: startAzurite},
}

// get returns the server's URL. Where it cannot be had the test is skipped, or failed if skips are
// forbidden.
func (s *service) get(t testing.TB) string {
	t.Helper()
	set := readSettings()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.asked {
		s.asked = true
		ctx, cancel := context.WithTimeout(context.Background(), startPatience)
		defer cancel()
		s.running, s.err = s.start(ctx, set)
	}
	if s.err != nil {
		skipOrFail(t, set, s.err)
	}
	return s.running.url
}

func skipOrFail(t testing.TB, set settings, reason error) {
	t.Helper()
	if set.noSkip {
		t.Fatalf("%v\n(BACKUP_TEST_NO_SKIP=1 makes this a failure)", reason)
	}
	t.Skip(reason)
}

// halt stops the server if it was started.
func (s *service) halt() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running.stop == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	stop := s.running.stop
	s.running, s.err = running{}, errStopped
	return stop(ctx)
}

var errStopped = errors.New("the tests' servers were stopped")

// Stop stops every server that was started for this test binary's tests. Main calls it; a package
// that has a TestMain of its own calls it there after m.Run.
func Stop() error {
	err := errors.Join(services.postgres.halt(), services.azurite.halt())
	if err != nil {
		return fmt.Errorf("stop the tests' servers: %w", err)
	}
	return nil
}
