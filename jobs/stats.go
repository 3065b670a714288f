package jobs

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// The outcomes of an attempt, besides the classes of the failures.
const (
	OutcomeDone       = "done"
	OutcomeHandedOver = "handed_over" // the process stops, the job was canceled, or the database went away
	OutcomeLeaseLost  = "lease_lost"
	OutcomeFinal      = "failed" // a failure, of whatever class, that is the task's last
)

// Attempts names a count of attempts.
type Attempts struct {
	Provider string
	Outcome  string // one of the Outcome constants, or a backup.Class
}

// Stats are what the workers of one process have done since New, and do now. They are
// for its monitoring, and reset with the process.
type Stats struct {
	Attempts    map[Attempts]int64 // attempts at tasks that have ended
	StoredBytes map[string]int64   // by provider: what the store has taken and the journal covers, also of attempts that failed later
	Running     map[string]int64   // by provider: attempts under way
	LeasesLost  int64              // of tasks and of the steps of backups
	Buffers     blob.BufferStats
}

// Stats returns what the workers have done. It asks nobody else, and may be called by
// many goroutines.
func (w *Workers) Stats() Stats {
	s := w.stats.copied()
	s.Buffers = w.buffers.Stats()
	return s
}

// stats counts.
type stats struct {
	mu sync.Mutex
	Stats
}

func newStats(providers []string) *stats {
	s := &stats{Stats: Stats{Attempts: make(map[Attempts]int64), StoredBytes: make(map[string]int64), Running: make(map[string]int64)}}
	for _, name := range providers { // so that a rate has a zero to begin at
		s.StoredBytes[name], s.Running[name] = 0, 0
		for _, outcome := range []string{OutcomeDone, OutcomeFinal, string(backup.ClassRetryable)} {
			s.Attempts[Attempts{name, outcome}] = 0
		}
	}
	return s
}

func (s *stats) copied() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Attempts: maps.Clone(s.Attempts), StoredBytes: maps.Clone(s.StoredBytes), Running: maps.Clone(s.Running), LeasesLost: s.LeasesLost}
}

func (s *stats) stored(provider string, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.StoredBytes[provider] += bytes
}

func (s *stats) leaseLost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.LeasesLost++
}

func (s *stats) began(provider string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Running[provider]++
}

func (s *stats) ended(provider, outcome string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Running[provider]--
	s.Attempts[Attempts{provider, outcome}]++
}

// count notes how much of the export is stored.
func (a *attempt) count(offset int64) {
	a.w.stats.stored(a.provider.Name, offset-a.stored)
	a.stored = offset
}

// failed notes a failure that was recorded.
func (a *attempt) failed(class backup.Class, final bool) {
	a.outcome, a.class = string(class), class
	if final {
		a.outcome = OutcomeFinal
	}
}

// report says how an attempt ended: in a count, and in the log unless it was handed
// over. Neither has a user, a site or a failure's message, which may name a URL: that
// is in the backup.
func (a *attempt) report(ctx context.Context, began time.Time) {
	a.w.stats.ended(a.provider.Name, a.outcome)
	log := a.w.cfg.Logger.With("backup", a.work.BackupID, "task", a.work.TaskID, "provider", a.provider.Name,
		"attempt", a.work.Task.Attempt, "duration", now().Sub(began).Round(time.Millisecond), "bytes", a.stored)
	switch a.outcome {
	case OutcomeHandedOver:
	case OutcomeDone:
		log.InfoContext(ctx, "task done")
	case OutcomeLeaseLost:
		log.WarnContext(ctx, "lease lost")
	case OutcomeFinal:
		log.ErrorContext(ctx, "task failed", "class", a.class)
	default:
		log.WarnContext(ctx, "attempt failed", "class", a.class)
	}
}

// reportStep says in the log that a step of a backup failed.
func (w *Workers) reportStep(ctx context.Context, work *backup.StepWork, began time.Time, class backup.Class, final bool) {
	log := w.cfg.Logger.With("backup", work.BackupID, "class", class, "duration", now().Sub(began).Round(time.Millisecond))
	if final {
		log.ErrorContext(ctx, "step of backup failed")
		return
	}
	log.WarnContext(ctx, "attempt at step of backup failed")
}
