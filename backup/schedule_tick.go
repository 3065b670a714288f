package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

// Ticked says what a tick did.
type Ticked struct {
	Started int  `json:"started"` // backups
	Queued  int  `json:"queued"`  // slots
	Skipped int  `json:"skipped"` // slots
	More    bool `json:"-"`       // more is due already
}

// unreadable is how long a schedule is left alone that this release can't read: its
// time zone isn't known any more, say. None of its slots is lost by that.
const unreadable = time.Hour

// due is a schedule that a tick has locked.
type due struct {
	*Schedule
	open  bool       // a backup of it hasn't ended
	older int        // other open backups of its user
	aside *time.Time // until when it waits because it can't be read
	runs  []slotRun
}

// TickSchedules starts what is due, of up to limit schedules, and of as many whose queued
// slot can start: it writes what becomes of each of their slots, starts backups, and
// moves the schedules on, in one transaction. Many processes may tick at once; each takes
// schedules that no other has. A schedule whose row makes that fail is left alone for
// some minutes, and the others are ticked each in a transaction of its own.
func (l *Ledger) TickSchedules(ctx context.Context, limit int) (done Ticked, err error) {
	err = l.c.inTx(ctx, func(tx pgx.Tx) error {
		done, err = l.c.tick(ctx, tx, limit)
		return err
	})
	if isBadRow(err) {
		return l.c.tickEach(ctx, limit)
	}
	return done, err
}

func (c *Client) tick(ctx context.Context, tx pgx.Tx, limit int) (done Ticked, err error) {
	now, err := c.now(ctx, tx)
	if err != nil {
		return done, err
	}
	all, more, err := c.lockDue(ctx, tx, now, limit)
	if err != nil || len(all) == 0 {
		return done, err
	}
	done, err = c.tickLocked(ctx, tx, all, now)
	done.More = done.More || more
	return done, err
}

// tickLocked ticks schedules that are locked.
func (c *Client) tickLocked(ctx context.Context, tx pgx.Tx, all []*due, now time.Time) (done Ticked, err error) {
	if err := c.readOpen(ctx, tx, all); err != nil {
		return done, err
	}
	for _, d := range all {
		if err := d.parse(); err != nil && d.isDue(now) {
			c.cfg.Logger.ErrorContext(ctx, "a schedule can't be read, and waits", "schedule", d.ID, "error", err)
			again := now.Add(unreadable)
			d.NextRunAt, d.aside = &again, &again
		}
		d.runs = d.decide(now, d.open)
		done.More = done.More || d.isDue(now)
		done.count(d.runs)
	}
	if err := c.startDue(ctx, tx, all, now); err != nil {
		return done, err
	}
	return done, c.recordRuns(ctx, tx, all, now)
}

func (t *Ticked) count(runs []slotRun) {
	for _, r := range runs {
		switch r.status {
		case RunStarted:
			t.Started++
		case RunQueued:
			t.Queued++
		case RunSkipped:
			t.Skipped += r.slots
		}
	}
}

// dueQuery and queuedQuery lock what they read themselves: a statement around them
// would read rows as they were before whoever had them last committed.
const (
	dueQuery = `SELECT ` + judgedColumns + ` FROM {{schema}}.backup_schedule s WHERE s.next_run_at <= @now
		ORDER BY s.next_run_at LIMIT @limit FOR NO KEY UPDATE SKIP LOCKED`

	queuedQuery = `SELECT ` + judgedColumns + ` FROM {{schema}}.backup_schedule s WHERE s.queued_slot IS NOT NULL AND ` + queuedCanGo + `
		ORDER BY s.queued_slot LIMIT @limit FOR NO KEY UPDATE SKIP LOCKED`

	queuedCanGo = `(s.set_aside_until IS NULL OR s.set_aside_until <= @now)
			AND (s.paused_at IS NOT NULL OR s.overlap = 'allow' OR s.queued_slot + s.spread + s.starting_deadline < @now
				OR (SELECT b.id FROM {{schema}}.backup b WHERE b.schedule_id = s.id AND b.state IN ('pending', 'running', 'sealing') LIMIT 1) IS NULL)`
)

// lockDue locks schedules with a slot that is due, or with one that waits and is
// to be started or skipped by now: up to limit of each. more reports whether there may
// be more of them.
func (c *Client) lockDue(ctx context.Context, tx pgx.Tx, now time.Time, limit int) (all []*due, more bool, err error) {
	var batch pgx.Batch
	known := make(map[string]bool)
	for _, query := range []string{dueQuery, queuedQuery} {
		batch.Queue(c.sql(query), named{"now": now, "limit": limit}).Query(func(rows pgx.Rows) error {
			some, err := pgx.CollectRows(rows, scanSchedule)
			more = more || len(some) == limit
			for _, s := range some {
				if !known[s.ID] {
					known[s.ID] = true
					all = append(all, &due{Schedule: s})
				}
			}
			return err
		})
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, false, fmt.Errorf("lock due schedules: %w", err)
	}
	return all, more, nil
}

// openQuery asks for a count, since EXISTS may be planned as a look through all open backups.
const openQuery = `SELECT i.n,
		(SELECT count(*) FROM (SELECT FROM {{schema}}.backup b WHERE b.schedule_id = i.id AND b.state IN ('pending', 'running', 'sealing') LIMIT 1) b) > 0,
		(SELECT count(*) FROM (SELECT FROM {{schema}}.backup o WHERE o.user_id = i.user_id AND o.state IN ('pending', 'running', 'sealing') LIMIT 16) o)
	FROM unnest(@ids::uuid[], @users::text[]) WITH ORDINALITY AS i (id, user_id, n)`

// readOpen is a statement of its own, behind the locks: it sees what whoever had them
// before has started.
func (c *Client) readOpen(ctx context.Context, tx pgx.Tx, all []*due) error {
	ids, users := make([]string, len(all)), make([]string, len(all))
	for i, d := range all {
		ids[i], users[i] = d.ID, d.UserID
	}
	rows, err := tx.Query(ctx, c.sql(openQuery), named{"ids": ids, "users": users})
	if err != nil {
		return fmt.Errorf("read open backups: %w", err)
	}
	var n, older int
	var open bool
	_, err = pgx.ForEachRow(rows, []any{&n, &open, &older}, func() error {
		all[n-1].open, all[n-1].older = open, older
		return nil
	})
	if err != nil {
		return fmt.Errorf("read open backups: %w", err)
	}
	return nil
}

// startDue starts the backups. They aren't checked against the configured providers:
// one that is gone fails the backup, which is seen, and not the tick.
func (c *Client) startDue(ctx context.Context, tx pgx.Tx, all []*due, now time.Time) error {
	var params []river.InsertManyParams
	var ids, schedules []string
	var slots []time.Time
	var data [][]byte
	ranks := make(map[string]int) // by user: backups that this tick starts
	for _, d := range all {
		for i := range d.runs {
			run := &d.runs[i]
			if run.status != RunStarted {
				continue
			}
			b := &Backup{ID: newID(), UserID: d.UserID, SiteID: d.SiteID}
			run.backup = b.ID
			params = append(params, c.planJob(b, rankOf(d.older+ranks[d.UserID])))
			ranks[d.UserID]++
			raw, err := json.Marshal(backupData{State: StatePending, UserID: d.UserID, SiteID: d.SiteID})
			if err != nil {
				return fmt.Errorf("encode event: %w", err)
			}
			ids, schedules, slots, data = append(ids, b.ID), append(schedules, d.ID), append(slots, run.slot), append(data, raw)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	res, err := c.river.InsertManyTx(ctx, tx, params)
	if err != nil {
		return fmt.Errorf("insert River jobs: %w", err)
	}
	jobs := make([]int64, len(res))
	for i, r := range res {
		jobs[i] = r.Job.ID
	}
	_, err = tx.Exec(ctx, c.sql(`
		WITH i AS (SELECT * FROM unnest(@ids::uuid[], @schedules::uuid[], @slots::timestamptz[], @jobs::bigint[], @data::jsonb[]) AS i (id, schedule, slot, job, data)),
		b AS (INSERT INTO {{schema}}.backup (id, user_id, site_id, providers, labels, continue_on_failure, max_size, created_at, schedule_id, slot, river_job_id, event_seq)
			SELECT i.id, s.user_id, s.site_id, s.providers, s.labels, s.continue_on_failure, nullif(least(s.max_size, nullif(@most::bigint, 0)), 0), @now, s.id, i.slot, i.job, 1
			FROM i JOIN {{schema}}.backup_schedule s ON s.id = i.schedule)
		INSERT INTO {{schema}}.backup_event (backup_id, seq, name, data) SELECT i.id, 1, 'UploadJobCreated', i.data FROM i`),
		named{"ids": ids, "schedules": schedules, "slots": slots, "jobs": jobs, "data": data, "most": c.cfg.MaxSize, "now": now})
	if err != nil {
		return fmt.Errorf("insert backups: %w", err)
	}
	return nil
}

// recordRuns writes what became of the slots, and moves the schedules on.
func (c *Client) recordRuns(ctx context.Context, tx pgx.Tx, all []*due, now time.Time) error {
	var w runWriter
	for _, d := range all {
		w.schedule(d)
	}
	var batch pgx.Batch
	batch.Queue(c.sql(`UPDATE {{schema}}.backup_schedule s SET next_slot = i.next_slot, next_run_at = i.next_run, last_slot = i.last_slot, queued_slot = i.queued,
			open_skip_slot = i.skip, open_skip_reason = i.reason, set_aside_until = i.aside
		FROM unnest(@ids::uuid[], @next_slots::timestamptz[], @next_runs::timestamptz[], @last_slots::timestamptz[], @queued::timestamptz[], @skips::timestamptz[], @reasons::text[], @asides::timestamptz[])
			AS i (id, next_slot, next_run, last_slot, queued, skip, reason, aside) WHERE s.id = i.id`),
		named{"ids": w.ids, "next_slots": w.nextSlots, "next_runs": w.nextRuns, "last_slots": w.lastSlots, "queued": w.queued, "skips": w.skips, "reasons": w.reasons, "asides": w.asides})
	if len(w.more.of) > 0 { // rows of skips that go on
		batch.Queue(c.sql(`UPDATE {{schema}}.backup_schedule_run r SET last_slot = i.last, slots = r.slots + i.slots, at = @now
			FROM unnest(@of::uuid[], @first::timestamptz[], @last::timestamptz[], @slots::int[]) AS i (id, first, last, slots)
			WHERE r.schedule_id = i.id AND r.slot = i.first`),
			named{"now": now, "of": w.more.of, "first": w.more.first, "last": w.more.last, "slots": w.more.slots})
	}
	if len(w.waited.of) > 0 { // slots that were queued
		batch.Queue(c.sql(`UPDATE {{schema}}.backup_schedule_run r SET status = i.status, reason = nullif(i.reason, ''), backup_id = nullif(i.backup, '')::uuid, at = @now
			FROM unnest(@of::uuid[], @first::timestamptz[], @status::text[], @reason::text[], @backup::text[]) AS i (id, first, status, reason, backup)
			WHERE r.schedule_id = i.id AND r.slot = i.first`),
			named{"now": now, "of": w.waited.of, "first": w.waited.first, "status": w.waited.status, "reason": w.waited.reason, "backup": w.waited.backup})
	}
	if len(w.fresh.of) > 0 {
		batch.Queue(c.sql(`INSERT INTO {{schema}}.backup_schedule_run (schedule_id, slot, last_slot, slots, status, reason, backup_id, at)
			SELECT i.id, i.first, i.last, i.slots, i.status, nullif(i.reason, ''), nullif(i.backup, '')::uuid, @now
			FROM unnest(@of::uuid[], @first::timestamptz[], @last::timestamptz[], @slots::int[], @status::text[], @reason::text[], @backup::text[])
				AS i (id, first, last, slots, status, reason, backup)`),
			named{
				"now": now, "of": w.fresh.of, "first": w.fresh.first, "last": w.fresh.last, "slots": w.fresh.slots,
				"status": w.fresh.status, "reason": w.fresh.reason, "backup": w.fresh.backup,
			})
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("record slots: %w", err)
	}
	return nil
}

// runWriter collects the columns of recordRuns.
type runWriter struct {
	ids                                                   []string
	nextSlots, nextRuns, lastSlots, queued, skips, asides []*time.Time
	reasons                                               []*string
	more, waited, fresh                                   runColumns
}

type runColumns struct {
	of, status, reason, backup []string
	first, last                []time.Time
	slots                      []int
}

func (r *runColumns) add(id string, first time.Time, run *slotRun) {
	r.of, r.first, r.last, r.slots = append(r.of, id), append(r.first, first), append(r.last, run.last), append(r.slots, run.slots)
	r.status, r.reason, r.backup = append(r.status, string(run.status)), append(r.reason, string(run.reason)), append(r.backup, run.backup)
}

func (w *runWriter) schedule(d *due) {
	for i := range d.runs {
		run := &d.runs[i]
		switch {
		case run.queued:
			w.waited.add(d.ID, run.slot, run)
			continue // its row is an older one
		case run.status == RunSkipped && d.openSkipSlot != nil && *d.openSkipReason == string(run.reason):
			w.more.add(d.ID, *d.openSkipSlot, run)
			continue
		}
		w.fresh.add(d.ID, run.slot, run)
		if d.openSkipSlot, d.openSkipReason = nil, nil; run.status == RunSkipped {
			reason := string(run.reason)
			d.openSkipSlot, d.openSkipReason = &run.slot, &reason
		}
	}
	w.ids = append(w.ids, d.ID)
	w.nextSlots, w.nextRuns, w.lastSlots = append(w.nextSlots, d.NextSlot), append(w.nextRuns, d.NextRunAt), append(w.lastSlots, d.LastSlot)
	w.queued, w.skips, w.reasons = append(w.queued, d.QueuedSlot), append(w.skips, d.openSkipSlot), append(w.reasons, d.openSkipReason)
	w.asides = append(w.asides, d.aside)
}
