package httpapi

import (
	"cmp"
	"math/rand/v2"
	"time"
)

// Streams bound the answers that last: event streams and long polls.
type Streams struct {
	// Max is how many clients the process serves with them at once. Beyond it an
	// event stream is answered 503, with a Retry-After, and a long poll at once. Each
	// takes at most 64 KiB of memory. Defaults to 2,000.
	Max int

	// Heartbeat is how long an event stream says nothing before it sends a comment,
	// by which both sides, and what is between them, notice that the other has gone.
	// Defaults to 15 seconds.
	Heartbeat time.Duration

	// WriteTimeout is how long the client of an event stream may take nothing of what
	// is sent to it before it is dropped. Defaults to 10 seconds.
	WriteTimeout time.Duration
}

func (s *Streams) withDefaults() Streams {
	return Streams{
		Max: cmp.Or(s.Max, 2000), Heartbeat: cmp.Or(s.Heartbeat, 15*time.Second), WriteTimeout: cmp.Or(s.WriteTimeout, 10*time.Second),
	}
}

// slots has an element for each client that is served.
type slots chan struct{}

func (s slots) take() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s slots) leave() { <-s }

// overloadedProblem spreads those who come again.
func overloadedProblem(detail string) *Problem {
	p := newProblem(CodeOverloaded, detail)
	p.retryAfter = 2*time.Second + rand.N(8*time.Second) //nolint:gosec // no secret
	return p
}
