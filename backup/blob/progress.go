package blob

import (
	"slices"
	"sync"
)

// ledger knows which parts are staged and which are hashed, and how far both
// reach without a gap. Of a source with a cursor, it also knows how far they
// reach up to a mark.
type ledger struct {
	marked bool // the source has a cursor

	// changed has room for one signal: more parts are safe.
	changed chan struct{}

	mu    sync.Mutex
	parts []Part // without a gap, from the first of the stream
	size  int64  // sum of their sizes
	ahead map[int]*entry

	// What is safe: the first of the parts, all of them as a rule.
	safe   int
	offset int64  // sum of the sizes of the safe ones
	state  []byte // of the hash over them
	cursor string // behind them
}

// entry is a part behind a gap, or one that isn't both staged and hashed. There
// are as many as buffers, and a few more.
type entry struct {
	part   Part
	staged bool
	state  []byte
	cursor string
}

func newLedger(c *Checkpoint, marked bool) *ledger {
	return &ledger{
		marked:  marked,
		changed: make(chan struct{}, 1),
		parts:   slices.Clone(c.Parts),
		size:    c.Offset,
		ahead:   make(map[int]*entry),
		safe:    len(c.Parts),
		offset:  c.Offset,
		state:   slices.Clone(c.SHA256),
		cursor:  c.Cursor,
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

// hashed notes that state is the hash's state behind part index, and cursor the
// source's.
func (l *ledger) hashed(index int, state []byte, cursor string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entry(index)
	e.state, e.cursor = state, cursor
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
		l.size += e.part.Size
		if l.marked && e.cursor == "" {
			continue
		}
		l.safe, l.offset, l.state, l.cursor = len(l.parts), l.size, e.state, e.cursor
		select {
		case l.changed <- struct{}{}:
		default:
		}
	}
}

// since returns the safe parts from number n on, and the offset, the hash's state
// and the cursor behind them, in memory of the caller's own.
func (l *ledger) since(n int) *Checkpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &Checkpoint{
		Parts: slices.Clone(l.parts[n:l.safe]), Offset: l.offset, SHA256: slices.Clone(l.state), Cursor: l.cursor,
	}
}

// length is the number of safe parts, and the offset behind them.
func (l *ledger) length() (parts int, offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.safe, l.offset
}

// all returns the parts without a gap, and how many bytes they have.
func (l *ledger) all() ([]Part, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.parts), l.size
}
