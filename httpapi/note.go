package httpapi

import "context"

// note is what the parts that handle a request learn of it, for the access log
// and the metrics. One goroutine has it at a time.
type note struct {
	caller    string // "" where nobody was asked, or nobody known answered
	operation string // "" for a path that nothing is served at
	target    string // the path that was asked for, also where a host has stripped a prefix
	lasting   bool   // the answer takes as long as its client likes
}

type noteKey struct{}

// noteOf is the note of the request that ctx belongs to. In a host's own handler
// there is none, and nobody reads what is written.
func noteOf(ctx context.Context) *note {
	if n, ok := ctx.Value(noteKey{}).(*note); ok {
		return n
	}
	return &note{}
}
