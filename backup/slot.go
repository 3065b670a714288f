package backup

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// limited reports whether tasks of the provider are under a limit over all
// processes.
func (c *Client) limited(provider string) bool {
	return c.cfg.MaxRunningPerUser > 0 || c.maxRunning(provider) > 0
}

func (c *Client) maxRunning(provider string) int {
	if p := c.providers[provider]; p != nil {
		return p.MaxRunning
	}
	return 0
}

// anyLimit reports whether there is a limit over all processes at all.
func (c *Client) anyLimit() bool {
	for name := range c.providers {
		if c.limited(name) {
			return true
		}
	}
	return false
}

// lockSlots makes whoever counts slots the only one to do so until its
// transaction ends. It is taken after the lock on a backup's row.
const lockSlots = `SELECT pg_advisory_xact_lock(hashtextextended('sitebackup slots ' || @schema, 0))`

// liveSlots are those that take up room: of tasks that run under a lease that is
// alive, and of those that were given room and are about to.
const liveSlots = `SELECT s.task_id, s.provider, s.user_id FROM {{schema}}.backup_slot s JOIN {{schema}}.backup_task t ON t.id = s.task_id
	WHERE (s.state = 'running' AND t.lease_until > now())
		OR (s.state = 'admitted' AND s.admitted_at > now() - interval '1 minute' AND t.state IN ('pending', 'running', 'committing'))`

// takeSlot takes up room for a task that is about to be leased. If there is none
// it says so, and the task waits without a River job until Admit gives it one.
func (ch *change) takeSlot(ctx context.Context, t *Task) (waits string, err error) {
	if !ch.c.limited(t.Provider) {
		return "", nil
	}
	if _, err := ch.tx.Exec(ctx, lockSlots, named{"schema": ch.c.cfg.Schema}); err != nil {
		return "", fmt.Errorf("lock slots: %w", err)
	}
	if waits, err = ch.room(ctx, t); err != nil {
		return "", err
	}
	state := "running"
	if waits != "" {
		state = "waiting"
	}
	rank, err := ch.rank(ctx)
	if err != nil {
		return "", err
	}
	_, err = ch.tx.Exec(ctx, ch.c.sql(`
		INSERT INTO {{schema}}.backup_slot (task_id, backup_id, provider, user_id, state, rank)
		VALUES (@task, @backup, @provider, @user, @state, @rank)
		ON CONFLICT (task_id) DO UPDATE SET state = excluded.state, rank = excluded.rank`),
		named{"task": t.ID, "backup": ch.b.ID, "provider": t.Provider, "user": ch.b.UserID, "state": state, "rank": rank})
	if err != nil {
		return "", fmt.Errorf("take slot: %w", err)
	}
	if waits == "" {
		return "", nil
	}
	_, err = ch.tx.Exec(ctx, ch.c.sql(`UPDATE {{schema}}.backup_task SET river_job_id = NULL WHERE id = @id`), named{"id": t.ID})
	if err != nil {
		return "", fmt.Errorf("let task wait: %w", err)
	}
	return waits, nil
}

// room says what there is no room under for the task, or nothing.
func (ch *change) room(ctx context.Context, t *Task) (full string, err error) {
	var ofProvider, ofUser int
	err = ch.tx.QueryRow(ctx, ch.c.sql(`
		SELECT count(*) FILTER (WHERE provider = @provider), count(*) FILTER (WHERE user_id = @user)
		FROM (`+liveSlots+`) s WHERE task_id <> @id`),
		named{"id": t.ID, "provider": t.Provider, "user": ch.b.UserID}).Scan(&ofProvider, &ofUser)
	if err != nil {
		return "", fmt.Errorf("count slots: %w", err)
	}
	if most := ch.c.maxRunning(t.Provider); most > 0 && ofProvider >= most {
		return fmt.Sprintf("%d tasks of provider %s run, the most that may", ofProvider, t.Provider), nil
	}
	if most := ch.c.cfg.MaxRunningPerUser; most > 0 && ofUser >= most {
		return fmt.Sprintf("%d tasks of the user run, the most that may", ofUser), nil
	}
	return "", nil
}

// waitingSlots selects the next tasks for which there is room.
const waitingSlots = `
	WITH live AS (` + liveSlots + `),
		p AS (SELECT provider, count(*) AS n FROM live GROUP BY 1),
		u AS (SELECT user_id, count(*) AS n FROM live GROUP BY 1)
	SELECT s.backup_id::text, s.task_id::text FROM {{schema}}.backup_slot s
	LEFT JOIN p ON p.provider = s.provider LEFT JOIN u ON u.user_id = s.user_id
	LEFT JOIN unnest(@names::text[], @most::bigint[]) AS m (name, most) ON m.name = s.provider
	WHERE s.state = 'waiting' AND (m.most IS NULL OR coalesce(p.n, 0) < m.most) AND (@user::bigint = 0 OR coalesce(u.n, 0) < @user::bigint)
		AND s.task_id <> ALL (@passed::uuid[])
	ORDER BY s.rank, s.created_at LIMIT 1`

// Admit gives up to limit tasks that wait for room under a limit over all
// processes a River job, as far as there is room, and returns how many. Workers
// call it when a task's lease has ended, and when one didn't find room: another
// may have ended meanwhile. Without limits in the configuration it does nothing.
func (l *Ledger) Admit(ctx context.Context, limit int) (admitted int, err error) {
	if !l.c.anyLimit() {
		return 0, nil
	}
	return l.admitWaiting(ctx, limit)
}

// admitWaiting is Admit whatever the configuration says: tasks may still wait for
// a limit that is no more.
func (l *Ledger) admitWaiting(ctx context.Context, limit int) (admitted int, err error) {
	var names []string
	var most []int64
	for _, name := range l.c.ProviderNames() {
		if n := l.c.maxRunning(name); n > 0 {
			names, most = append(names, name), append(most, int64(n))
		}
	}
	passed := []string{} // those that can't be let go now, and don't hold up the others
	for admitted < limit && len(passed) < admitTries {
		var backupID, taskID string
		err := l.c.cfg.Pool.QueryRow(ctx, l.c.sql(waitingSlots),
			named{"user": int64(l.c.cfg.MaxRunningPerUser), "names": names, "most": most, "passed": passed}).Scan(&backupID, &taskID)
		if isNoRows(err) {
			return admitted, nil
		}
		if err != nil {
			return admitted, fmt.Errorf("find task that waits: %w", err)
		}
		ok, err := l.admit(ctx, backupID, taskID)
		if err != nil {
			return admitted, err
		}
		if ok {
			admitted++
		} else {
			passed = append(passed, taskID)
		}
	}
	return admitted, nil
}

// admitTries bounds how many tasks one Admit passes over.
const admitTries = 100

func (l *Ledger) admit(ctx context.Context, backupID, taskID string) (admitted bool, err error) {
	ok, err := l.c.changeSoon(ctx, backupID, func(ch *change) (err error) {
		admitted, err = ch.admit(ctx, taskID)
		return err
	})
	return ok && admitted, err
}

func (ch *change) admit(ctx context.Context, taskID string) (bool, error) {
	if _, err := ch.tx.Exec(ctx, lockSlots, named{"schema": ch.c.cfg.Schema}); err != nil {
		return false, fmt.Errorf("lock slots: %w", err)
	}
	t, err := ch.task(ctx, taskID)
	if err != nil {
		return false, err
	}
	if t.State.Terminal() || ch.b.State != StateRunning {
		return false, ch.setSlot(ctx, taskID, "running") // of a lease that isn't alive: it takes up no room
	}
	if full, err := ch.room(ctx, t); err != nil || full != "" {
		return false, err
	}
	var waiting bool
	err = ch.tx.QueryRow(ctx, ch.c.sql(`SELECT state = 'waiting' FROM {{schema}}.backup_slot WHERE task_id = @id`),
		named{"id": taskID}).Scan(&waiting)
	if isNoRows(err) || (err == nil && !waiting) { // somebody else was faster
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read slot: %w", err)
	}
	if err := ch.setSlot(ctx, taskID, "admitted"); err != nil {
		return false, err
	}
	return true, ch.insertTaskJobs(ctx, []*Task{t})
}

func (ch *change) setSlot(ctx context.Context, taskID, state string) error {
	_, err := ch.tx.Exec(ctx, ch.c.sql(`UPDATE {{schema}}.backup_slot SET state = @state,
		admitted_at = CASE WHEN @state = 'admitted' THEN clock_timestamp() END WHERE task_id = @id`),
		named{"id": taskID, "state": state})
	if err != nil {
		return fmt.Errorf("set slot: %w", err)
	}
	return nil
}

// keepSlot keeps the room of a task whose worker goes without its having failed,
// so that it goes on before those that wait.
func (ch *change) keepSlot(ctx context.Context, t *Task) error {
	if !ch.c.limited(t.Provider) {
		return nil
	}
	return ch.setSlot(ctx, t.ID, "admitted")
}

// sweepSlots drops the slots of tasks that have ended, and ranks those that wait
// anew. It looks when nobody else can take one.
func (l *Ledger) sweepSlots(ctx context.Context) error {
	return l.c.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '1s'"); err != nil { // it can be done another time
			return err
		}
		if _, err := tx.Exec(ctx, lockSlots, named{"schema": l.c.cfg.Schema}); err != nil {
			return fmt.Errorf("lock slots: %w", err)
		}
		_, err := tx.Exec(ctx, l.c.sql(`DELETE FROM {{schema}}.backup_slot s USING {{schema}}.backup_task t
			WHERE t.id = s.task_id AND t.state IN ('done', 'failed', 'canceled')`))
		if err != nil {
			return fmt.Errorf("drop slots: %w", err)
		}
		_, err = tx.Exec(ctx, l.c.sql(rerank))
		if err != nil {
			return fmt.Errorf("rank slots: %w", err)
		}
		return nil
	})
}

// rerank lets those that wait move up when older backups of their user are gone,
// so that nobody is overtaken for ever.
const rerank = `UPDATE {{schema}}.backup_slot s SET rank = n.rank
	FROM (SELECT task_id, CASE WHEN older = 0 THEN 1 WHEN older < 4 THEN 2 WHEN older < 16 THEN 3 ELSE 4 END AS rank
		FROM (SELECT task_id, dense_rank() OVER (PARTITION BY user_id ORDER BY backup_id) - 1 AS older
			FROM {{schema}}.backup_slot WHERE state = 'waiting') w) n
	WHERE s.task_id = n.task_id AND n.rank < s.rank`

// rank is the priority of River jobs for the backup, from 1, which goes first, to
// 4. It falls with the number of older backups that its user has open, so that
// nobody waits behind another user's long queue.
func (ch *change) rank(ctx context.Context) (int, error) {
	var older int
	err := ch.tx.QueryRow(ctx, ch.c.sql(olderOpen), named{"id": ch.b.ID}).Scan(&older)
	if err != nil {
		return 0, fmt.Errorf("count open backups of the user: %w", err)
	}
	return rankOf(older), nil
}

const olderOpen = `SELECT (` + olderThan + `) FROM {{schema}}.backup b WHERE b.id = @id`

// olderThan counts the open backups of its user that are older than b. As rows they
// are compared so that no index but the users' fits: by that of ids alone, everybody's
// would be read.
const olderThan = `SELECT count(*) FROM (SELECT FROM {{schema}}.backup o
	WHERE o.user_id = b.user_id AND o.state IN ('pending', 'running', 'sealing') AND (o.user_id, o.id) < (b.user_id, b.id) LIMIT 16) o`

func rankOf(older int) int {
	switch {
	case older == 0:
		return 1
	case older < 4:
		return 2
	case older < 16:
		return 3
	default:
		return 4
	}
}
