package httpapi

import (
	"cmp"
	"math/rand/v2"
	"sync"
	"time"
)

// Streams bound the answers that last: event streams and long polls.
type Streams struct {
	// Max is how many clients the process serves with them at once. Beyond it an
	// event stream is answered 503, with a Retry-After, and a long poll at once. Each
	// takes at most 64 KiB of memory. Defaults to 2,000.
	Max int

	// MaxPerCaller is how many of them one caller may have, by name, where
	// Options.Authorize is set. Beyond it an event stream is answered 429, with a
	// Retry-After, and a long poll at once. Defaults to half of Max.
	MaxPerCaller int

	// Heartbeat is how long an event stream says nothing before it sends a comment,
	// by which both sides, and what is between them, notice that the other has gone.
	// Defaults to 15 seconds.
	Heartbeat time.Duration

	// WriteTimeout is how long the client of an event stream may take nothing of what
	// is sent to it before it is dropped. Defaults to 10 seconds.
	WriteTimeout time.Duration
}

func (s *Streams) withDefaults() Streams {
	most := cmp.Or(s.Max, 2000)
	return Streams{
		Max: most, MaxPerCaller: cmp.Or(s.MaxPerCaller, max(1, most/2)), Heartbeat: cmp.Or(s.Heartbeat, 15*time.Second), WriteTimeout: cmp.Or(s.WriteTimeout, 10*time.Second),
	}
}

// slots counts the clients that are served.
type slots struct {
	max, maxPerCaller int

	mu       sync.Mutex
	taken    int
	byCaller map[string]int // without those that have none
}

func newSlots(o *Options) *slots {
	s := &slots{max: o.Streams.Max, maxPerCaller: o.Streams.MaxPerCaller, byCaller: make(map[string]int)}
	if o.Authorize == nil {
		s.maxPerCaller = s.max // nobody is asked: all are one
	}
	return s
}

// take is nil if the caller of that name may have one more, and then must leave.
func (s *slots) take(caller string) *Problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.byCaller[caller] >= s.maxPerCaller && s.maxPerCaller < s.max:
		return comeAgain(CodeRateLimited, "This credential has as many event streams as one may have.")
	case s.taken >= s.max:
		return overloadedProblem("This server has as many event streams as it serves.")
	}
	s.taken++
	s.byCaller[caller]++
	return nil
}

func (s *slots) leave(caller string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.byCaller[caller]--; s.byCaller[caller] == 0 {
		delete(s.byCaller, caller)
	}
}

func overloadedProblem(detail string) *Problem { return comeAgain(CodeOverloaded, detail) }

// comeAgain spreads those who do.
func comeAgain(code Code, detail string) *Problem {
	p := newProblem(code, detail)
	p.retryAfter = 2*time.Second + rand.N(8*time.Second) //nolint:gosec // no secret
	return p
}
