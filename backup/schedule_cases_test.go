package backup_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// scheduled is a schedule whose life a case tells. It is made on 5 January 2026 at half
// past midnight; times are those of that day, or later: "26:00" is two o'clock of the
// next.
type scheduled struct {
	*bundle
	now    *time.Time
	params backup.ScheduleParams
	id     string
}

var caseDay = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

func clockAt(t testing.TB, text string) time.Time {
	t.Helper()
	var hour, minute int
	_, err := fmt.Sscanf(text, "%d:%d", &hour, &minute)
	require.NoError(t, err)
	return caseDay.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
}

// step is something that happens to a schedule.
type step func(*scheduled)

// tick ticks at each of the times.
func tick(times ...string) step {
	return func(s *scheduled) {
		for _, at := range times {
			*s.now = clockAt(s, at)
			_, err := s.ledger.TickSchedules(s.ctx, 10)
			require.NoError(s, err)
		}
	}
}

// end ends what is open.
func end(s *scheduled) {
	s.exec(`UPDATE {backup} SET state = 'failed', finished_at = now() WHERE state IN ('pending', 'running', 'sealing')`)
}

// put edits the schedule at a time.
func put(at string, change func(*backup.ScheduleParams)) step {
	return func(s *scheduled) {
		*s.now = clockAt(s, at)
		change(&s.params)
		got, err := s.client.PutSchedule(s.ctx, s.params)
		require.NoError(s, err)
		s.id = got.ID
	}
}

func pause(at string, paused bool) step {
	return func(s *scheduled) {
		*s.now = clockAt(s, at)
		_, err := s.client.PauseSchedule(s.patience(), s.id, paused)
		require.NoError(s, err)
	}
}

func zone(name string) step {
	return func(s *scheduled) { s.exec(`UPDATE {backup_schedule} SET time_zone = $1`, name) }
}

// runs tells what became of the slots, in their order.
func (s *scheduled) runs() (lines []string) {
	s.Helper()
	all, err := s.client.ScheduleRuns(s.ctx, s.id, time.Time{}, 200)
	require.NoError(s, err)
	text := func(t time.Time) string {
		d := t.Sub(caseDay)
		return fmt.Sprintf("%02d:%02d", int(d.Hours()), int(d.Minutes())%60)
	}
	for _, r := range slices.Backward(all) {
		line := text(r.Slot)
		if r.Slots > 1 {
			line += fmt.Sprintf("-%s x%d", text(r.LastSlot), r.Slots)
		}
		line += " " + string(r.Status)
		if r.Reason != "" {
			line += " " + string(r.Reason)
		}
		lines = append(lines, line)
		require.Equal(s, r.Status == backup.RunStarted, r.BackupID != "", line)
		if r.BackupID != "" {
			b := s.get(r.BackupID)
			require.True(s, b.Slot.Equal(r.Slot), line)
			require.Equal(s, s.id, b.ScheduleID)
		}
	}
	started := s.count(`SELECT count(*) FROM {backup_schedule_run} WHERE status = 'started'`)
	require.Equal(s, started, s.count(`SELECT count(*) FROM {backup} WHERE schedule_id = $1 AND slot IS NOT NULL`, s.id), "one backup for each slot that was started")
	return lines
}

func overlap(o backup.Overlap) func(*backup.ScheduleParams) {
	return func(p *backup.ScheduleParams) { p.Overlap = o }
}

func deadline(d time.Duration) func(*backup.ScheduleParams) {
	return func(p *backup.ScheduleParams) { p.StartingDeadline = d }
}

func all(changes ...func(*backup.ScheduleParams)) func(*backup.ScheduleParams) {
	return func(p *backup.ScheduleParams) {
		for _, c := range changes {
			c(p)
		}
	}
}

func asItWas(*backup.ScheduleParams) {}

// Each case is a schedule for every full hour, unless it says otherwise.
func TestScheduleCases(t *testing.T) {
	none := func(p *backup.ScheduleParams) { p.CatchUp = backup.CatchUpNone }
	queue, allow, skip := overlap(backup.OverlapQueue), overlap(backup.OverlapAllow), overlap(backup.OverlapSkip)
	for name, c := range map[string]struct {
		params func(*backup.ScheduleParams)
		steps  []step
		want   []string
	}{
		"each in its turn":        {asItWas, []step{tick("1:00"), end, tick("1:59", "2:00"), end, tick("3:00")}, []string{"01:00 started", "02:00 started", "03:00 started"}},
		"nothing before its time": {asItWas, []step{tick("0:59")}, nil},

		"overlap skip": {skip, []step{tick("1:00", "2:00", "3:00", "3:30"), end, tick("3:40", "4:00")}, []string{"01:00 started", "02:00-03:00 x2 skipped overlap", "04:00 started"}},
		"overlap queue": {queue, []step{tick("1:00", "2:00", "3:00", "4:00"), end, tick("4:10", "4:20"), end, tick("4:30", "5:00")},
			[]string{"01:00 started", "02:00 started", "03:00-04:00 x2 skipped overlap", "05:00 started"}},
		"overlap queue, still waiting":      {queue, []step{tick("1:00", "2:00", "2:30")}, []string{"01:00 started", "02:00 queued"}},
		"overlap queue, the next behind it": {queue, []step{tick("1:00", "2:00"), end, tick("3:00")}, []string{"01:00 started", "02:00 started", "03:00 queued"}},
		"overlap allow":                     {allow, []step{tick("1:00", "2:00", "3:00")}, []string{"01:00 started", "02:00 started", "03:00 started"}},
		"a run out of turn counts as an overlap": {skip, []step{func(s *scheduled) {
			_, err := s.client.RunSchedule(s.ctx, s.id, backup.StartParams{})
			require.NoError(s, err)
		}, tick("1:00"), end, tick("2:00")}, []string{"01:00 skipped overlap", "02:00 started"}},

		"catch up last":                    {asItWas, []step{tick("5:59")}, []string{"01:00-04:00 x4 skipped catchUp", "05:00 started"}},
		"catch up last, the last overlaps": {asItWas, []step{tick("1:00", "5:59")}, []string{"01:00 started", "02:00-04:00 x3 skipped catchUp", "05:00 skipped overlap"}},
		"catch up none":                    {none, []step{tick("5:06")}, []string{"01:00-05:00 x5 skipped catchUp"}},
		"catch up none, within its grace":  {none, []step{tick("5:05")}, []string{"01:00-04:00 x4 skipped catchUp", "05:00 started"}},
		"catch up goes on":                 {none, []step{tick("2:30", "3:30", "4:00")}, []string{"01:00-03:00 x3 skipped catchUp", "04:00 started"}},

		"deadline":              {deadline(10 * time.Minute), []step{tick("1:11", "2:11", "3:10")}, []string{"01:00-02:00 x2 skipped deadline", "03:00 started"}},
		"deadline and catch up": {deadline(10 * time.Minute), []step{tick("3:11")}, []string{"01:00-02:00 x2 skipped catchUp", "03:00 skipped deadline"}},

		"pause":                                  {asItWas, []step{pause("0:40", true), tick("1:00", "2:00"), pause("2:30", false), tick("2:31", "3:00")}, []string{"01:00-02:00 x2 skipped paused", "03:00 started"}},
		"pause, slots that nobody had looked at": {asItWas, []step{pause("0:40", true), tick("4:30"), pause("4:40", false), tick("5:00")}, []string{"01:00-04:00 x4 skipped paused", "05:00 started"}},
		"pause and overlap are two reasons": {skip, []step{tick("1:00", "2:00"), pause("2:30", true), tick("3:00", "4:00"), pause("4:30", false), tick("5:00")},
			[]string{"01:00 started", "02:00 skipped overlap", "03:00-04:00 x2 skipped paused", "05:00 skipped overlap"}},

		"two pauses before anybody looked": {asItWas, []step{pause("0:40", true), pause("1:30", false), pause("2:00", true), pause("3:20", false), tick("3:30", "4:00")},
			[]string{"01:00-03:00 x3 skipped paused", "04:00 started"}},
		"two pauses, and a slot between": {asItWas, []step{pause("0:40", true), pause("1:30", false), pause("2:10", true), pause("2:20", false), end, tick("3:00")},
			[]string{"01:00 skipped paused", "02:00 started", "03:00 started"}},
		"pause that ended before anybody looked": {asItWas, []step{pause("0:40", true), pause("2:30", false), tick("2:31", "3:00")}, []string{"01:00-02:00 x2 skipped paused", "03:00 started"}},
		"pause that ended, and slots around it":  {asItWas, []step{pause("1:30", true), pause("2:30", false), tick("4:30")}, []string{"01:00 skipped catchUp", "02:00 skipped paused", "03:00 skipped catchUp", "04:00 started"}},
		"pause that ended at a slot's time":      {asItWas, []step{pause("1:00", true), put("2:00", asItWas), tick("2:00")}, []string{"01:00 skipped paused", "02:00 started"}},
		"edit in a pause, and its end":           {asItWas, []step{pause("0:40", true), put("0:50", func(p *backup.ScheduleParams) { p.Paused = true }), put("2:30", func(p *backup.ScheduleParams) { p.Paused = false }), tick("3:00")}, []string{"01:00-02:00 x2 skipped paused", "03:00 started"}},
		"queued, then paused":                    {queue, []step{tick("1:00", "2:00"), pause("2:10", true), tick("2:11"), end, tick("2:12")}, []string{"01:00 started", "02:00 skipped paused"}},
		"queued, then past its deadline":         {all(queue, deadline(10*time.Minute)), []step{tick("1:00", "2:00", "2:10", "2:11"), end, tick("2:20")}, []string{"01:00 started", "02:00 skipped deadline"}},
		"queued, then in time":                   {all(queue, deadline(10*time.Minute)), []step{tick("1:00", "2:00"), end, tick("2:10")}, []string{"01:00 started", "02:00 started"}},
		"queued, then all may overlap":           {queue, []step{tick("1:00", "2:00"), put("2:10", allow), tick("2:11")}, []string{"01:00 started", "02:00 started"}},
		"queued, then none is any more":          {queue, []step{tick("1:00", "2:00"), put("2:10", skip), tick("2:11"), end, tick("2:12")}, []string{"01:00 started", "02:00 started"}},
		"queued, beside skips that go on": {queue, []step{tick("1:00", "2:00", "3:00"), end, tick("3:10", "4:00", "5:00"), end, tick("5:10", "6:00")},
			[]string{"01:00 started", "02:00 started", "03:00 skipped overlap", "04:00 started", "05:00 skipped overlap", "06:00 queued"}},

		"catch up none, overlap allow, one too late": {all(none, allow), []step{tick("1:00", "2:06", "3:05")}, []string{"01:00 started", "02:00 skipped catchUp", "03:00 started"}},
		"catch up last, overlap queue":               {queue, []step{tick("1:00", "4:30", "5:30"), end, tick("5:40")}, []string{"01:00 started", "02:00-03:00 x2 skipped catchUp", "04:00 started", "05:00 skipped overlap"}},
		"deadline and overlap allow":                 {all(allow, deadline(10*time.Minute)), []step{tick("1:00", "2:10", "3:11")}, []string{"01:00 started", "02:00 started", "03:00 skipped deadline"}},
		"pause and deadline are one pause":           {all(allow, deadline(10*time.Minute)), []step{tick("1:00"), pause("1:10", true), tick("2:30"), pause("2:40", false), tick("3:10")}, []string{"01:00 started", "02:00 skipped paused", "03:00 started"}},
		"clock that goes back":                       {asItWas, []step{tick("1:00"), end, tick("0:10", "1:00", "1:30", "2:00")}, []string{"01:00 started", "02:00 started"}},
		"clock that goes back, between two pauses": {asItWas, []step{pause("0:40", true), pause("1:30", false), pause("0:50", true), pause("1:40", false), tick("2:00")},
			[]string{"01:00 skipped paused", "02:00 started"}},
		"deleted and made again": {asItWas, []step{tick("1:00"), end, func(s *scheduled) {
			require.NoError(s, s.client.DeleteSchedule(s.ctx, s.id, 0))
		}, put("2:30", asItWas), tick("2:30", "3:00")}, []string{"03:00 started"}},
		"edit, while a slot waits": {queue, []step{tick("1:00", "2:00"), put("2:10", func(p *backup.ScheduleParams) { p.Cron = "30 * * * *" }), tick("2:20", "2:30"), end, tick("2:40"), end, tick("3:30")},
			[]string{"01:00 started", "02:00 started", "02:30 skipped overlap", "03:30 started"}},
		"spread wider than the interval": {func(p *backup.ScheduleParams) { p.Cron, p.Spread = "*/30 * * * *", 24*time.Hour }, []step{func(s *scheduled) {
			got, err := s.client.GetSchedule(s.ctx, s.id)
			require.NoError(s, err)
			for got.NextRunAt.Sub(*got.NextSlot) <= 30*time.Minute { // which would show nothing; another id has another share
				require.NoError(s, s.client.DeleteSchedule(s.ctx, s.id, 0))
				got, err = s.client.PutSchedule(s.ctx, s.params)
				require.NoError(s, err)
				s.id = got.ID
			}
			share := got.NextRunAt.Sub(*got.NextSlot)
			for _, at := range []string{"1:00", "1:30", "2:00"} {
				for _, d := range []time.Duration{-time.Second, 0} {
					*s.now = clockAt(s, at).Add(share + d)
					_, err := s.ledger.TickSchedules(s.ctx, 10)
					require.NoError(s, err)
				}
				end(s)
			}
		}}, []string{"01:00 started", "01:30 started", "02:00 started"}},
		"edit, behind its last slot": {asItWas, []step{tick("1:00"), end, put("1:50", func(p *backup.ScheduleParams) { p.Cron = "*/30 * * * *" }), tick("1:50"), end, tick("2:00")},
			[]string{"01:00 started", "01:30 started", "02:00 started"}},
		"edit, before any slot": {asItWas, []step{put("3:10", func(p *backup.ScheduleParams) { p.Cron = "15 * * * *" }), tick("3:20")}, []string{"01:15-02:15 x2 skipped catchUp", "03:15 started"}},
		"edit, the same":        {asItWas, []step{put("1:10", asItWas), tick("1:10"), end, put("1:20", asItWas), tick("1:20", "2:00")}, []string{"01:00 started", "02:00 started"}},
		"edit, its zone": {func(p *backup.ScheduleParams) { p.Cron = "0 6 * * *" }, []step{
			tick("6:00"), end, put("6:10", func(p *backup.ScheduleParams) { p.TimeZone = "America/New_York" }), tick("10:59", "11:00"), end,
			put("11:10", func(p *backup.ScheduleParams) { p.TimeZone = "Asia/Kolkata" }), tick("24:29", "24:30"),
		}, []string{"06:00 started", "11:00 started", "24:30 started"}},
		"every, from its making": {func(p *backup.ScheduleParams) { p.Cron = "@every 40m" }, []step{tick("1:09", "1:10"), end, tick("1:50")}, []string{"01:10 started", "01:50 started"}},

		"a zone that isn't known": {asItWas, []step{zone("Mars/Base"), tick("1:00", "1:30"), pause("1:40", true), pause("1:41", false), zone("UTC"), tick("1:59"), end, tick("2:50"), end, tick("3:00")},
			[]string{"01:00 started", "02:00 started", "03:00 started"}},
		"a zone that isn't known, with a deadline": {all(deadline(10*time.Minute), func(p *backup.ScheduleParams) { p.Cron = "@daily" }), []step{zone("Mars/Base"), tick("24:00"), zone("UTC"), tick("24:59", "25:00")}, []string{"24:00 skipped deadline"}},
		"a zone that isn't known, queued":          {queue, []step{tick("1:00", "2:00"), zone("Mars/Base"), end, tick("2:10", "3:00", "3:20")}, []string{"01:00 started", "02:00 started"}},
	} {
		t.Run(name, func(t *testing.T) {
			b, now := clocked(t, "2026-01-05T00:30:00Z")
			s := &scheduled{bundle: b, now: now, params: backup.ScheduleParams{UserID: userID, SiteID: siteID, Cron: "0 * * * *"}}
			put("0:30", c.params)(s)
			for _, step := range c.steps {
				step(s)
			}
			require.Equal(t, c.want, s.runs())
		})
	}
}

// A spread that is edited moves the next run, and no slot.
func TestScheduleSpreadIsEdited(t *testing.T) {
	b, now := clocked(t, "2026-01-05T00:30:00Z")
	p := backup.ScheduleParams{UserID: userID, SiteID: siteID, Cron: "0 * * * *", Spread: 50 * time.Minute}
	s, err := b.client.PutSchedule(b.ctx, p)
	require.NoError(t, err)
	share := s.NextRunAt.Sub(*s.NextSlot)
	require.Positive(t, share)
	require.Less(t, share, p.Spread)
	tickAt := func(at time.Time) backup.Ticked {
		*now = at
		done, err := b.ledger.TickSchedules(b.ctx, 10)
		require.NoError(t, err)
		b.exec(`UPDATE {backup} SET state = 'failed', finished_at = now() WHERE finished_at IS NULL`)
		return done
	}
	require.Zero(t, tickAt(s.NextRunAt.Add(-time.Second)))
	p.Spread = 0
	s, err = b.client.PutSchedule(b.ctx, p)
	require.NoError(t, err)
	require.Equal(t, s.NextSlot, s.NextRunAt)
	require.Equal(t, backup.Ticked{Started: 1}, tickAt(*now), "it is due by now")
	p.Spread = 50 * time.Minute
	s, err = b.client.PutSchedule(b.ctx, p)
	require.NoError(t, err)
	require.Equal(t, clockAt(t, "2:00"), *s.NextSlot)
	require.Equal(t, share, s.NextRunAt.Sub(*s.NextSlot), "the share follows from the id")
	require.Zero(t, tickAt(s.NextRunAt.Add(-time.Second)))
	require.Equal(t, backup.Ticked{Started: 1}, tickAt(*s.NextRunAt))
}

// A spread that is made shorter makes a slot due, and late by nothing but the time since.
func TestScheduleSpreadIsShortened(t *testing.T) {
	for name, f := range map[string]func(*backup.ScheduleParams){
		"deadline": deadline(10 * time.Minute),
		"none":     func(p *backup.ScheduleParams) { p.CatchUp = backup.CatchUpNone },
	} {
		t.Run(name, func(t *testing.T) {
			b, now := clocked(t, "2026-01-05T00:30:00Z")
			p := backup.ScheduleParams{UserID: userID, SiteID: siteID, Cron: "0 2 * * *", Spread: 20 * time.Hour}
			f(&p)
			s, err := b.client.PutSchedule(b.ctx, p)
			require.NoError(t, err)
			for s.NextRunAt.Sub(*s.NextSlot) < 30*time.Minute { // which would show nothing; another id has another share
				require.NoError(t, b.client.DeleteSchedule(b.ctx, s.ID, 0))
				s, err = b.client.PutSchedule(b.ctx, p)
				require.NoError(t, err)
			}
			*now = s.NextRunAt.Add(-time.Minute)
			p.Spread = time.Minute
			s, err = b.client.PutSchedule(b.ctx, p)
			require.NoError(t, err)
			require.True(t, s.NextRunAt.Before(*now))
			done, err := b.ledger.TickSchedules(b.ctx, 10)
			require.NoError(t, err)
			require.Equal(t, backup.Ticked{Started: 1}, done)
		})
	}
}

// A slot that is due because the spread was made shorter wasn't due in a pause before that;
// one that was, and that nobody had looked at, was.
func TestScheduleSpreadIsShortenedBehindAPause(t *testing.T) {
	resume, shorten := func(p *backup.ScheduleParams) { p.Paused = false }, func(p *backup.ScheduleParams) { p.Spread = time.Minute }
	for name, c := range map[string]struct {
		steps []step
		want  string
	}{
		"not due in it":           {[]step{put("2:30", resume), put("2:40", shorten)}, "02:00 started"},
		"due in it":               {[]step{put("23:00", resume), put("23:10", shorten)}, "02:00 skipped paused"},
		"due in it, both at once": {[]step{put("23:00", all(resume, shorten))}, "02:00 skipped paused"},
		"not due in it, at once":  {[]step{put("2:30", all(resume, shorten))}, "02:00 started"},
		"shortened in it":         {[]step{put("2:30", shorten), put("3:00", resume)}, "02:00 skipped paused"},
	} {
		t.Run(name, func(t *testing.T) {
			b, now := clocked(t, "2026-01-05T00:30:00Z")
			s := &scheduled{bundle: b, now: now, params: backup.ScheduleParams{UserID: userID, SiteID: siteID, Cron: "0 2 * * *", Spread: 20 * time.Hour}}
			for at := clockAt(t, "1:00"); at.Before(clockAt(t, "4:00")); { // another id has another share
				if s.id != "" {
					require.NoError(t, b.client.DeleteSchedule(b.ctx, s.id, 0))
				}
				got, err := b.client.PutSchedule(b.ctx, s.params)
				require.NoError(t, err)
				s.id, at = got.ID, *got.NextRunAt
			}
			put("1:50", func(p *backup.ScheduleParams) { p.Paused = true })(s)
			for _, step := range c.steps {
				step(s)
			}
			_, err := b.ledger.TickSchedules(b.ctx, 10)
			require.NoError(t, err)
			require.Equal(t, []string{c.want}, s.runs())
		})
	}
}

// What waits behind a long pause is decided a thousand slots at a time.
func TestScheduleOfManySlots(t *testing.T) {
	b, now := clocked(t, "2026-01-05T00:30:00Z")
	p := backup.ScheduleParams{UserID: userID, SiteID: siteID, Cron: "* * * * *"}
	s, err := b.client.PutSchedule(b.ctx, p)
	require.NoError(t, err)
	*now = now.Add(2500 * time.Minute)
	var sum backup.Ticked
	ticks := 0
	for sum.More = true; sum.More; ticks++ {
		done, err := b.ledger.TickSchedules(b.ctx, 10)
		require.NoError(t, err)
		sum = backup.Ticked{Started: sum.Started + done.Started, Skipped: sum.Skipped + done.Skipped, More: done.More}
	}
	require.Equal(t, backup.Ticked{Started: 1, Skipped: 2499}, sum)
	require.Equal(t, 3, ticks)
	runs, err := b.client.ScheduleRuns(b.ctx, s.ID, time.Time{}, 10)
	require.NoError(t, err)
	require.Len(t, runs, 2)
	require.Equal(t, 2499, runs[1].Slots)
}
