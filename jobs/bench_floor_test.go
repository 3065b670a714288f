package jobs

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// floor is what the job layer is compared with: the same River jobs, of the same
// kinds and with the same args, tags and metadata, that do nothing but one bare
// statement when they begin and one when they end. It has no counter, no events,
// no leases and no journal, and keeps nothing that would survive a crash.
type floor struct {
	*side

	mu   sync.Mutex
	open map[string]int // tasks that haven't ended, per backup
}

func newFloor(s *side) *floor {
	s.exec(`CREATE TABLE {floor} (id uuid PRIMARY KEY, state text NOT NULL DEFAULT 'pending', token uuid) WITH (fillfactor = 70)`)
	return &floor{side: s, open: make(map[string]int)}
}

// run takes n backups through the floor.
func (f *floor) run(n int) time.Duration {
	f.Helper()
	ids := make([]uuid.UUID, n)
	for i := range ids {
		ids[i] = uuid.Must(uuid.NewV7())
	}
	// A row for each of a backup's jobs, before the clock starts.
	f.exec(`INSERT INTO {floor} (id) SELECT unnest($1::uuid[])`, f.rows(ids))
	f.exec(`VACUUM ANALYZE {floor}`)
	rc := &river.Config{
		Schema: f.schema, Logger: quietLog, FetchCooldown: benchCooldown, Workers: river.NewWorkers(),
		Queues: map[string]river.QueueConfig{backup.QueueControl: {MaxWorkers: benchWorkers}},
	}
	river.AddWorker(rc.Workers, river.WorkFunc(f.plan))
	river.AddWorker(rc.Workers, river.WorkFunc(f.seal))
	for _, p := range benchProviders {
		rc.Queues[backup.QueueTaskPrefix+p] = river.QueueConfig{MaxWorkers: benchWorkers}
		river.AddWorkerArgs(rc.Workers, backup.TaskArgs{Provider: p}, river.WorkFunc(f.task))
	}
	took := f.side.run(rc, n, func(ctx context.Context, client *river.Client[pgx.Tx]) error {
		return f.ask(ctx, n, func(ctx context.Context, tx pgx.Tx, i int) error {
			id := ids[i].String()
			_, err := client.InsertTx(ctx, tx, backup.PlanArgs{Version: backup.ArgsVersion, BackupID: id}, f.opts(backup.QueueControl, id, ""))
			return err
		})
	})
	var left int
	require.NoError(f, f.pool.QueryRow(f.Context(), f.in(`SELECT count(*) FROM {floor} WHERE state <> 'done'`)).Scan(&left))
	require.Zero(f, left)
	return took
}

// rows are the ids of the rows of all jobs.
func (f *floor) rows(backups []uuid.UUID) (rows []uuid.UUID) {
	for _, id := range backups {
		for _, job := range append([]string{"plan", "seal"}, benchProviders...) {
			rows = append(rows, rowOf(id.String(), job))
		}
	}
	return rows
}

func rowOf(backupID, job string) uuid.UUID {
	return uuid.NewSHA1(uuid.MustParse(backupID), []byte(job))
}

func (f *floor) opts(queue, id, provider string) *river.InsertOpts {
	o := &river.InsertOpts{Queue: queue, Tags: []string{"backup-" + id}}
	m := map[string]string{"backup_id": id, "user_id": userID, "site_id": siteID}
	if provider != "" {
		o.Tags = append(o.Tags, "provider-"+provider)
		m["provider"], m["task_id"] = provider, rowOf(id, provider).String()
	}
	o.Metadata, _ = json.Marshal(m) // strings only: it can't fail
	return o
}

// claimed runs fn between the two bare statements.
func (f *floor) claimed(ctx context.Context, backupID, job string, fn func() error) error {
	row, token := rowOf(backupID, job), uuid.New()
	_, err := f.pool.Exec(ctx, f.in(`UPDATE {floor} SET state = 'running', token = $2 WHERE id = $1 AND state = 'pending'`), row, token)
	if err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	_, err = f.pool.Exec(ctx, f.in(`UPDATE {floor} SET state = 'done', token = NULL WHERE id = $1 AND token = $2`), row, token)
	return err
}

func (f *floor) plan(ctx context.Context, job *river.Job[backup.PlanArgs]) error {
	id := job.Args.BackupID
	return f.claimed(ctx, id, "plan", func() error {
		f.mu.Lock()
		f.open[id] = len(benchProviders)
		f.mu.Unlock()
		params := make([]river.InsertManyParams, len(benchProviders))
		for i, p := range benchProviders {
			args := backup.TaskArgs{Version: backup.ArgsVersion, BackupID: id, TaskID: rowOf(id, p).String(), Provider: p}
			params[i] = river.InsertManyParams{Args: args, InsertOpts: f.opts(backup.QueueTaskPrefix+p, id, p)}
		}
		_, err := river.ClientFromContext[pgx.Tx](ctx).InsertMany(ctx, params)
		return err
	})
}

func (f *floor) task(ctx context.Context, job *river.Job[backup.TaskArgs]) error {
	id := job.Args.BackupID
	if err := f.claimed(ctx, id, job.Args.Provider, func() error { return nil }); err != nil {
		return err
	}
	f.mu.Lock()
	f.open[id]--
	last := f.open[id] == 0
	f.mu.Unlock()
	if !last {
		return nil
	}
	_, err := river.ClientFromContext[pgx.Tx](ctx).Insert(ctx, backup.SealArgs{Version: backup.ArgsVersion, BackupID: id}, f.opts(backup.QueueControl, id, ""))
	return err
}

func (f *floor) seal(ctx context.Context, job *river.Job[backup.SealArgs]) error {
	return f.claimed(ctx, job.Args.BackupID, "seal", func() error { return nil })
}
