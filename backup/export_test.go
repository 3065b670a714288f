package backup

import (
	"runtime"
	"sync"
	"time"
)

// General returns the ledger without groups: each verb goes the general way.
func (l *Ledger) General() *Ledger { return &Ledger{c: l.c, general: true} }

// Together runs the verbs that fns call, one each, in one group, and returns when
// all have returned. In between, while they wait, it calls waiting.
func (l *Ledger) Together(waiting func(), fns ...func()) {
	l.c.groups.turn <- struct{}{}
	var all sync.WaitGroup
	for i, fn := range fns {
		all.Go(fn)
		for l.waiting() <= i { // in their order
			runtime.Gosched()
		}
	}
	waiting()
	<-l.c.groups.turn
	all.Wait()
}

func (l *Ledger) waiting() int {
	l.c.groups.mu.Lock()
	defer l.c.groups.mu.Unlock()
	return len(l.c.groups.next)
}

// ListQuery is the end of List's statement, and its arguments.
func ListQuery(p *ListParams) (string, map[string]any) { return p.query() }

// ScopeWhere is what a scope adds to a statement over the alias b, and its
// arguments.
func ScopeWhere(s Scope) (string, map[string]any) {
	args := named{}
	return s.where(args), args
}

// SetSilence sets how long the connection for notifications may be quiet.
func (w *Watcher) SetSilence(d time.Duration) { w.silence = d }
