package jobs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// door is a source whose exports wait while it is shut.
type door struct {
	shut   atomic.Bool
	asked  chan struct{} // has a value for each export that waits
	opened chan struct{}
}

func (d *door) Export(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
	if d.shut.Load() {
		d.asked <- struct{}{}
		select {
		case <-d.opened:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	data := []byte("of " + req.BackupID)
	return &backup.Export{Body: io.NopCloser(bytes.NewReader(data)), Size: int64(len(data)), ContentType: "text/plain"}, nil
}

// working is a schedule whose backups workers make, on a clock that a case moves. It is
// made on 5 January 2026 at half past midnight; times are those of that day.
type working struct {
	*bundle
	door
	clock  atomic.Pointer[time.Time]
	client *river.Client[pgx.Tx]
	params backup.ScheduleParams
	id     string
}

var workingDay = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

type workingStep func(*working)

func (w *working) at(text string) {
	w.Helper()
	clock, err := time.Parse("15:04", text)
	require.NoError(w, err)
	at := workingDay.Add(time.Duration(clock.Hour())*time.Hour + time.Duration(clock.Minute())*time.Minute)
	w.clock.Store(&at)
}

// ticksAt has the workers tick at a time.
func ticksAt(at string) workingStep {
	return func(w *working) {
		w.at(at)
		res, err := w.client.Insert(w.ctx, backup.ScheduleArgs{}, &river.InsertOpts{Queue: backup.QueueControl})
		require.NoError(w, err)
		w.eventually("the tick", 30*time.Second, func() bool {
			return w.count(`SELECT count(*) FROM {river_job} WHERE id = $1 AND state = 'completed'`, res.Job.ID) == 1
		})
	}
}

// puts edits the schedule.
func puts(at string, change func(*backup.ScheduleParams)) workingStep {
	return func(w *working) {
		w.at(at)
		change(&w.params)
		s, err := w.bundle.client.PutSchedule(w.ctx, w.params)
		require.NoError(w, err)
		w.id = s.ID
	}
}

func pauses(at string, paused bool) workingStep {
	return func(w *working) {
		w.at(at)
		_, err := w.bundle.client.PauseSchedule(w.ctx, w.id, paused)
		require.NoError(w, err)
	}
}

// shuts keeps exports from ending, begins waits until one waits, and opens lets it end.
func shuts(w *working)  { w.shut.Store(true) }
func begins(w *working) { <-w.asked }
func opens(w *working)  { w.shut.Store(false); w.opened <- struct{}{} }

// ends waits until the workers have made all that was started.
func ends(w *working) {
	w.eventually("the backups to end", 30*time.Second, func() bool {
		return w.count(`SELECT count(*) FROM {backup} WHERE state NOT IN ('done', 'failed', 'canceled')`) == 0
	})
}

// runs tells what became of the slots, whose backups are whole in the store.
func (w *working) runs() (lines []string) {
	w.Helper()
	all, err := w.bundle.client.ScheduleRuns(w.ctx, w.id, time.Time{}, 200)
	require.NoError(w, err)
	started := 0
	for _, r := range slices.Backward(all) {
		line := fmt.Sprintf("%s x%d %s", r.Slot.UTC().Format("15:04"), r.Slots, r.Status)
		if r.Reason != "" {
			line += " " + string(r.Reason)
		}
		lines = append(lines, line)
		if r.BackupID == "" {
			continue
		}
		started++
		got, err := w.bundle.client.Get(w.ctx, r.BackupID)
		require.NoError(w, err)
		require.Equal(w, backup.StateDone, got.State, line)
		require.True(w, got.Slot.Equal(r.Slot), line)
		w.read(got.ManifestKey)
	}
	require.Equal(w, started, w.count(`SELECT count(*) FROM {backup}`), "one backup for each slot that was started")
	return lines
}

// The cases of package backup that are the most at stake, with River's client and the
// workers, from the tick to the manifest. The schedule is for every full hour.
func TestScheduleCasesOfWorkers(t *testing.T) {
	t.Parallel()
	asItWas := func(*backup.ScheduleParams) {}
	none := func(p *backup.ScheduleParams) { p.CatchUp = backup.CatchUpNone }
	queue := func(p *backup.ScheduleParams) { p.Overlap = backup.OverlapQueue }
	for name, c := range map[string]struct {
		params func(*backup.ScheduleParams)
		steps  []workingStep
		want   []string
	}{
		"overlap skip": {asItWas, []workingStep{shuts, ticksAt("01:00"), begins, ticksAt("02:00"), opens, ends, ticksAt("03:00"), ends},
			[]string{"01:00 x1 started", "02:00 x1 skipped overlap", "03:00 x1 started"}},
		"overlap queue": {queue, []workingStep{shuts, ticksAt("01:00"), begins, ticksAt("02:00"), ticksAt("03:00"), opens, ends, ticksAt("03:10"), ends},
			[]string{"01:00 x1 started", "02:00 x1 started", "03:00 x1 skipped overlap"}},
		"overlap allow": {func(p *backup.ScheduleParams) { p.Overlap = backup.OverlapAllow }, []workingStep{shuts, ticksAt("01:00"), begins, ticksAt("02:00"), begins, opens, opens, ends},
			[]string{"01:00 x1 started", "02:00 x1 started"}},
		"catch up last": {asItWas, []workingStep{ticksAt("05:59"), ends}, []string{"01:00 x4 skipped catchUp", "05:00 x1 started"}},
		"catch up none": {none, []workingStep{ticksAt("05:06"), ticksAt("06:00"), ends}, []string{"01:00 x5 skipped catchUp", "06:00 x1 started"}},
		"deadline": {func(p *backup.ScheduleParams) { p.StartingDeadline = 10 * time.Minute }, []workingStep{ticksAt("01:11"), ticksAt("02:10"), ends},
			[]string{"01:00 x1 skipped deadline", "02:00 x1 started"}},
		"pause": {asItWas, []workingStep{pauses("00:40", true), ticksAt("02:00"), pauses("02:30", false), ticksAt("03:00"), ends},
			[]string{"01:00 x2 skipped paused", "03:00 x1 started"}},
		"edit": {asItWas, []workingStep{ticksAt("01:00"), ends, puts("01:50", func(p *backup.ScheduleParams) { p.Cron = "*/30 * * * *" }), ticksAt("01:50"), ends, ticksAt("02:00"), ends},
			[]string{"01:00 x1 started", "01:30 x1 started", "02:00 x1 started"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &working{door: door{asked: make(chan struct{}, 10), opened: make(chan struct{})}}
			at := workingDay
			w.clock.Store(&at)
			w.bundle = setup(t, setupOptions{config: func(cfg *backup.Config) {
				cfg.Now = func() time.Time { return *w.clock.Load() }
				cfg.Providers = []backup.ProviderConfig{{Name: "site", Provider: &w.door}}
			}})
			w.params = backup.ScheduleParams{UserID: userID, SiteID: siteID, Cron: "0 * * * *"}
			puts("00:30", c.params)(w)
			w.work()
			w.client, _ = w.riverClient()
			for _, step := range c.steps {
				step(w)
			}
			require.Equal(t, c.want, w.runs())
		})
	}
}
