package backup

import "time"

// RunStatus says what became of a slot.
type RunStatus string

// What becomes of slots.
const (
	RunStarted RunStatus = "started" // a backup was
	RunSkipped RunStatus = "skipped" // none was, for a reason
	RunQueued  RunStatus = "queued"  // one will be when earlier ones have ended, or the slot is skipped
)

// SkipReason says why a slot was skipped.
type SkipReason string

// The reasons.
const (
	SkipOverlap  SkipReason = "overlap"  // a backup of the schedule hadn't ended
	SkipDeadline SkipReason = "deadline" // it was later than StartingDeadline
	SkipPaused   SkipReason = "paused"   // the schedule was
	SkipCatchUp  SkipReason = "catchUp"  // its time had passed, and CatchUp leaves it out
)

// slotRun is what becomes of one slot, or of several that follow one another.
type slotRun struct {
	slot, last time.Time
	slots      int
	status     RunStatus
	reason     SkipReason // of a skipped one
	backup     string     // of a started one
	queued     bool       // it was queued before: there is a row for it
}

// maxSlots bounds how many slots of a schedule one transaction decides. The others
// are due again at once.
const maxSlots = 1000

// decide says what becomes of the slots that are due at now, in their order, and
// moves s behind them. open says whether a backup of s hasn't ended. It begins at
// most one backup unless backups of s may overlap, and then at most two.
func (s *Schedule) decide(now time.Time, open bool) (runs []slotRun) {
	if s.QueuedSlot != nil {
		if run, ok := s.decideQueued(now, open); ok {
			runs, open = append(runs, run), open || run.status == RunStarted
			s.QueuedSlot = nil
		}
	}
	for n := 0; n < maxSlots && s.isDue(now); n++ {
		slot := *s.NextSlot
		s.LastSlot = &slot
		s.next(slot)
		// Not NextRunAt says how late it is: a schedule that couldn't be read was put off.
		run := s.decideSlot(slot, s.dueAt(slot), now, !s.isDue(now), open)
		if run.status == RunQueued {
			s.QueuedSlot = &slot
		}
		runs = appendRun(runs, run)
	}
	return runs
}

// isDue reports whether a slot's time has come.
func (s *Schedule) isDue(now time.Time) bool { return s.NextRunAt != nil && !s.NextRunAt.After(now) }

// appendRun makes slots that are skipped one after another for one reason one run.
func appendRun(runs []slotRun, run slotRun) []slotRun {
	if n := len(runs); n > 0 && !runs[n-1].queued && runs[n-1].status == RunSkipped && run.status == RunSkipped && runs[n-1].reason == run.reason {
		runs[n-1].last = run.slot
		runs[n-1].slots++
		return runs
	}
	return append(runs, run)
}

func (s *Schedule) decideSlot(slot, due, now time.Time, last, open bool) slotRun {
	late := now.Sub(due)
	run := slotRun{slot: slot, last: slot, slots: 1, status: RunSkipped}
	switch {
	case s.Paused || s.wasPaused(due):
		run.reason = SkipPaused
	case !last:
		run.reason = SkipCatchUp
	case s.overdue(late):
		run.reason = SkipDeadline
	case s.CatchUp == CatchUpNone && late > CatchUpGrace:
		run.reason = SkipCatchUp
	case s.Overlap == OverlapAllow, !open && s.QueuedSlot == nil:
		run.status = RunStarted
	case s.Overlap == OverlapQueue && s.QueuedSlot == nil:
		run.status = RunQueued
	default:
		run.reason = SkipOverlap
	}
	return run
}

// wasPaused reports whether t lies within the last pause that ended: what it was to hold
// back doesn't start behind it because no tick came in between.
func (s *Schedule) wasPaused(t time.Time) bool {
	return s.resumedAt != nil && !t.Before(*s.resumedFrom) && t.Before(*s.resumedAt)
}

// decideQueued says what becomes of the queued slot; ok is false while it waits.
func (s *Schedule) decideQueued(now time.Time, open bool) (run slotRun, ok bool) {
	slot := *s.QueuedSlot
	run = slotRun{slot: slot, last: slot, slots: 1, status: RunSkipped, queued: true}
	switch {
	case s.Paused:
		run.reason = SkipPaused
	case s.overdue(now.Sub(s.dueAt(slot))):
		run.reason = SkipDeadline
	case open && s.Overlap != OverlapAllow:
		return run, false
	default:
		run.status = RunStarted
	}
	return run, true
}

// dueAt is when a slot is due: not before the spread has been what it is.
func (s *Schedule) dueAt(slot time.Time) time.Time {
	due := slot.Add(s.offset())
	if s.spreadAt != nil && s.spreadAt.After(due) {
		return *s.spreadAt
	}
	return due
}

func (s *Schedule) overdue(late time.Duration) bool {
	return s.StartingDeadline > 0 && late > s.StartingDeadline
}
