package blobtest

import (
	"context"
	"sync"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// Op is a method of a store.
type Op string

// The methods of a store that faults can be scripted for.
const (
	OpStagePart      Op = "StagePart"
	OpStagedParts    Op = "StagedParts"
	OpCommit         Op = "Commit"
	OpCommittedParts Op = "CommittedParts"
	OpOpen           Op = "Open"
	OpStat           Op = "Stat"
	OpList           Op = "List"
	OpDelete         Op = "Delete"
	OpAbort          Op = "Abort"
	OpCheck          Op = "Check"
)

// Faulty is a store that works, except for what was scripted. nth counts the
// calls of one method from the script's call on: 1 is the next. Several faults
// may be scripted for one call.
type Faulty struct {
	blob.Store

	mu     sync.Mutex
	calls  map[Op]int
	faults map[Op]map[int]*fault // by number of call
}

// fault is what happens in one call.
type fault struct {
	before error // instead of the call
	after  error // instead of the call's answer
	gate   *Gate
	flip   int64 // of Open: offset in the object of the byte to damage, or -1
	cut    int64 // of Open: offset in the object where the body breaks, or -1
}

// NewFaulty wraps store. Without a script it behaves the same.
func NewFaulty(store blob.Store) *Faulty {
	return &Faulty{Store: store, calls: make(map[Op]int), faults: make(map[Op]map[int]*fault)}
}

// Fail makes the nth call of op from now on fail with err, without reaching the
// store.
func (f *Faulty) Fail(op Op, nth int, err error) { f.script(op, nth).before = err }

// Lose makes the nth call of op from now on reach the store, and then return err
// in place of its answer, as a connection that breaks does.
func (f *Faulty) Lose(op Op, nth int, err error) { f.script(op, nth).after = err }

// Block makes the nth call of op from now on wait at a gate before it reaches
// the store. It ends with its context, too.
func (f *Faulty) Block(op Op, nth int) *Gate {
	g := &Gate{entered: make(chan struct{}), open: make(chan struct{})}
	f.script(op, nth).gate = g
	return g
}

// Flip changes the byte at offset in the object when the nth Open from now on
// reads it.
func (f *Faulty) Flip(nth int, offset int64) { f.script(OpOpen, nth).flip = offset }

// Cut ends the body of the nth Open from now on with io.ErrUnexpectedEOF before
// the byte at offset in the object.
func (f *Faulty) Cut(nth int, offset int64) { f.script(OpOpen, nth).cut = offset }

// Calls is how often op was called.
func (f *Faulty) Calls(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// Gate holds up one call.
type Gate struct {
	entered chan struct{}
	open    chan struct{}
	once    sync.Once
}

// Entered is closed when the call has come to the gate.
func (g *Gate) Entered() <-chan struct{} { return g.entered }

// Release lets the call go on. It may be called before, and again.
func (g *Gate) Release() { g.once.Do(func() { close(g.open) }) }

func (f *Faulty) script(op Op, nth int) *fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.faults[op] == nil {
		f.faults[op] = make(map[int]*fault)
	}
	at := f.calls[op] + nth
	if f.faults[op][at] == nil {
		f.faults[op][at] = &fault{flip: -1, cut: -1}
	}
	return f.faults[op][at]
}

// call runs one call of op under its script.
func (f *Faulty) call(ctx context.Context, op Op, do func(*fault) error) error {
	f.mu.Lock()
	f.calls[op]++
	s := f.faults[op][f.calls[op]]
	f.mu.Unlock()
	if s == nil {
		s = &fault{flip: -1, cut: -1}
	}
	if s.gate != nil {
		close(s.gate.entered)
		select {
		case <-s.gate.open:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if s.before != nil {
		return s.before
	}
	err := do(s)
	if s.after != nil {
		return s.after
	}
	return err
}
