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

// ScheduleQuery is a statement and the indexes that its plan is to use.
type ScheduleQuery struct {
	SQL     string
	Indexes []string
	Custom  bool // Postgres is to plan it for its arguments each time
}

// ScheduleQueries are the statements of ticks, and of looks at freshness.
func ScheduleQueries() map[string]ScheduleQuery {
	return map[string]ScheduleQuery{
		"due":          {dueQuery, []string{"backup_schedule_due"}, false},
		"queued":       {queuedQuery, []string{"backup_schedule_queued"}, false},
		"open":         {openQuery, []string{"backup_schedule_open", "backup_user_open"}, false},
		"stale":        {staleQuery, []string{"backup_schedule_stale_at"}, false},
		"alert":        {alertQuery, []string{"backup_schedule_alert"}, false},
		"success":      {successQuery, []string{"backup_schedule_good"}, false},
		"freshness":    {freshnessQuery, []string{"backup_schedule_due", "backup_schedule_ahead", "backup_schedule_set_aside", "backup_schedule_stale_at", "backup_schedule_alert", "backup_schedule_good"}, false},
		"last success": {lastSuccessQuery, []string{"backup_good"}, false},
		"claim event":  {claimEvent, []string{"backup_schedule_event_undelivered"}, false},
		"list alerts":  {"SELECT " + scheduleColumns + " FROM {{schema}}.backup_schedule s WHERE true" + alerts + " ORDER BY s.id LIMIT @limit", []string{"backup_schedule_alert", "backup_schedule_stale_at"}, true},
	}
}

// GovernedPairsQuery is how retention finds the next pairs where the server has no policy.
func GovernedPairsQuery() string { return pairsQuery(governed, hasPolicy) }

// Live reports whether the reader has caught up.
func (s *Subscription) Live() bool {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return s.live
}
