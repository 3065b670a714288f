package retention

import "time"

// Status is what retention has to know of a backup's state.
type Status string

// The statuses. The zero value is none of them; a backup with it is kept.
const (
	Good     Status = "good"     // done, and no check has found it corrupt
	Corrupt  Status = "corrupt"  // done, and a check has found damage in it
	Failed   Status = "failed"   // failed for good
	Canceled Status = "canceled" // somebody canceled it
	Open     Status = "open"     // it hasn't ended
	Deleting Status = "deleting" // it is being removed
)

// Backup is what a plan has to know of a backup.
type Backup struct {
	ID        string    // unique in the pair
	At        time.Time // when it was asked for, or its slot; what the calendar and its age go by
	EndedAt   time.Time // when it failed, was canceled or was done; zero counts as At
	Status    Status
	Held      bool     // it must not be removed
	Providers []string // those it has a copy of, damaged or not, each once
	Group     string   // which policy governs it: a schedule's id, or "" for the default
}

// Group is what governs the backups of one group.
type Group struct {
	Policy   *Policy        // nil keeps everything
	Location *time.Location // whose hours, days, weeks, months and years they are; nil is UTC
}

// Decision is what becomes of one backup, and why.
type Decision struct {
	Backup Backup
	Keep   bool

	// Reasons has at least one entry. For a backup that is kept they are all that
	// keep it, for one that goes the one that lets it go. Each is one of the
	// Reason codes. Those of calendar rules are followed by a space and the hour,
	// day, week, month or year ("daily 2026-11-23", "weekly 2026-W48"), those of
	// copies by a colon and the provider ("newest-good:site").
	Reasons []string
}

// The codes of reasons to keep a backup. They are stable.
const (
	ReasonHeld          = "held"           // on hold
	ReasonOpen          = "open"           // it hasn't ended
	ReasonNoPolicy      = "no-policy"      // nothing governs its group
	ReasonInvalidPolicy = "invalid-policy" // its group's policy is refused by Validate
	ReasonUnknownStatus = "unknown-status" // none of the statuses above
	ReasonFuture        = "future"         // good, and dated after now
	ReasonLast          = "last"           // KeepLast
	ReasonWithin        = "within"         // KeepWithin
	ReasonHourly        = "hourly"         // KeepHourly; "hourly 2026-11-23T22+01:00"
	ReasonDaily         = "daily"          // KeepDaily; "daily 2026-11-23"
	ReasonWeekly        = "weekly"         // KeepWeekly; "weekly 2026-W48"
	ReasonMonthly       = "monthly"        // KeepMonthly; "monthly 2026-11"
	ReasonYearly        = "yearly"         // KeepYearly; "yearly 2026"
	ReasonAtLeast       = "at-least"       // AtLeast; "at-least:site"
	ReasonNewestGood    = "newest-good"    // the pair's newest good copy, by its date or by its end; "newest-good:site"
	ReasonFailedRecent  = "failed-recent"  // failed or canceled less than KeepFailed ago
	ReasonCorruptRecent = "corrupt-recent" // corrupt, and ended less than KeepFailed ago
	ReasonNoNewerGood   = "no-newer-good"  // corrupt, and no better copy; "no-newer-good:site"
)

// The codes of reasons to remove a backup. They are stable.
const (
	ReasonPolicy            = "policy"             // good, and no rule keeps it
	ReasonFailedAge         = "failed-age"         // failed or canceled KeepFailed ago or longer
	ReasonCorruptSuperseded = "corrupt-superseded" // corrupt, old, and newer good copies exist
	ReasonDeleting          = "deleting"           // it is being removed already
)

// ended is when b ended.
func (b *Backup) ended() time.Time {
	if b.EndedAt.IsZero() {
		return b.At
	}
	return b.EndedAt
}

// counts reports whether rules count b as a copy at the time now.
func (b *Backup) counts(now time.Time) bool {
	return b.Status == Good && !b.At.After(now)
}
