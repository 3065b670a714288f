package blob

import (
	"slices"
	"sync"
)

// ledger knows which parts are staged and which are hashed, and how far both
// reach without a gap.
type ledger struct {
	// changed has room for one signal: there are more parts without a gap.
	changed chan struct{}

	mu     sync.Mutex
	parts  []Part // without a gap, from the first of the stream
	offset int64  // sum of their sizes
	state  []byte // of the hash over them
	ahead  map[int]*entry
}

// entry is a part behind a gap, or one that isn't both staged and hashed. There
// are as many as buffers, and a few more.
type entry struct {
	part   Part
	staged bool
	state  []byte
}

func newLedger(c *Checkpoint) *ledger {
	return &ledger{
		changed: make(chan struct{}, 1),
		parts:   slices.Clone(c.Parts),
		offset:  c.Offset,
		state:   slices.Clone(c.SHA256),
		ahead:   make(map[int]*entry),
	}
}

// staged notes that the store has part.
func (l *ledger) staged(part Part) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entry(part.ID.Index())
	e.part, e.staged = part, true
	l.advance()
}

// hashed notes that state is the hash's state behind part index.
func (l *ledger) hashed(index int, state []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entry(index).state = state
	l.advance()
}

func (l *ledger) entry(index int) *entry {
	e := l.ahead[index]
	if e == nil {
		e = &entry{}
		l.ahead[index] = e
	}
	return e
}

func (l *ledger) advance() {
	for {
		next := len(l.parts)
		e := l.ahead[next]
		if e == nil || !e.staged || e.state == nil {
			return
		}
		delete(l.ahead, next)
		l.parts = append(l.parts, e.part)
		l.offset += e.part.Size
		l.state = e.state
		select {
		case l.changed <- struct{}{}:
		default:
		}
	}
}

// since returns the parts from number n on, the offset behind them and the
// hash's state there, in memory of the caller's own.
func (l *ledger) since(n int) *Checkpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &Checkpoint{Parts: slices.Clone(l.parts[n:]), Offset: l.offset, SHA256: slices.Clone(l.state)}
}

// length is the number of parts without a gap, and the offset behind them.
func (l *ledger) length() (parts int, offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.parts), l.offset
}
