package backup_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/internal/envtest"
	"github.com/sitebackup/sitebackup/migrations"
)

func TestMain(m *testing.M) { envtest.Main(m) }

const (
	userID = "658683afc91423af04d82152"
	siteID = "658683afc91423af04d82153"

	lease = 30 * time.Second
)

// bundle is a client on a migrated schema of its own.
type bundle struct {
	*testing.T
	ctx    context.Context
	pool   *pgxpool.Pool
	schema string
	client *backup.Client
	ledger *backup.Ledger
}

func setup(t *testing.T, options ...func(*backup.Config)) *bundle {
	t.Helper()
	t.Parallel()
	return setupHere(t, options...)
}

// setupHere is setup for a test that may not be parallel.
func setupHere(t *testing.T, options ...func(*backup.Config)) *bundle {
	t.Helper()
	ctx := t.Context()
	pool, schema := envtest.Schema(t)
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	_, err := migrations.Up(ctx, pool, &migrations.Config{Schema: schema, Logger: logger})
	require.NoError(t, err)
	cfg := &backup.Config{Pool: pool, Schema: schema, Logger: logger, Providers: []backup.ProviderConfig{{Name: "site"}, {Name: "db"}}}
	for _, o := range options {
		o(cfg)
	}
	client, err := backup.New(cfg)
	require.NoError(t, err)
	return &bundle{t, ctx, pool, schema, client, client.Ledger()}
}

// another is the ledger of another process: within one, verbs are written together.
func (b *bundle) another(options ...func(*backup.Config)) *backup.Ledger {
	b.Helper()
	cfg := &backup.Config{Pool: b.pool, Schema: b.schema, Logger: b.client.Logger(), Providers: []backup.ProviderConfig{{Name: "site"}, {Name: "db"}}}
	for _, o := range options {
		o(cfg)
	}
	client, err := backup.New(cfg)
	require.NoError(b, err)
	return client.Ledger()
}

func (b *bundle) start(p ...func(*backup.StartParams)) *backup.Backup {
	b.Helper()
	params := backup.StartParams{UserID: userID, SiteID: siteID}
	for _, o := range p {
		o(&params)
	}
	got, err := b.client.Start(b.ctx, params)
	require.NoError(b, err)
	return got
}

func (b *bundle) get(id string) *backup.Backup {
	b.Helper()
	got, err := b.client.Get(b.ctx, id)
	require.NoError(b, err)
	return got
}

func (b *bundle) count(query string, args ...any) (n int) {
	b.Helper()
	require.NoError(b, b.pool.QueryRow(b.ctx, b.in(query), args...).Scan(&n))
	return n
}

func (b *bundle) exec(query string, args ...any) {
	b.Helper()
	_, err := b.pool.Exec(b.ctx, b.in(query), args...)
	require.NoError(b, err)
}

// in puts the schema before table names written as {backup}.
func (b *bundle) in(query string) string {
	return replaceTables(query, pgx.Identifier{b.schema}.Sanitize())
}

// job is the River job that may work on the backup or, with a provider, on that
// provider's task.
func (b *bundle) job(id, provider string) (job int64) {
	b.Helper()
	query := "SELECT river_job_id FROM {backup} WHERE id = $1 AND $2 = ''"
	if provider != "" {
		query = "SELECT river_job_id FROM {backup_task} WHERE backup_id = $1 AND provider = $2"
	}
	require.NoError(b, b.pool.QueryRow(b.ctx, b.in(query), id, provider).Scan(&job))
	return job
}

func claim(job int64) backup.ClaimParams {
	return backup.ClaimParams{JobID: job, Worker: "test", Duration: lease}
}

// plan plans a backup as a worker would.
func (b *bundle) plan(id string, providers ...string) {
	b.Helper()
	w, err := b.ledger.ClaimPlan(b.ctx, id, claim(b.job(id, "")))
	require.NoError(b, err)
	require.NoError(b, b.ledger.FinishPlan(b.ctx, w.Lease, planned(providers...)))
}

func (b *bundle) taskArgs(id, provider string) backup.TaskArgs {
	b.Helper()
	for _, t := range b.get(id).Tasks {
		if t.Provider == provider {
			return backup.TaskArgs{Version: 1, BackupID: id, TaskID: t.ID, Provider: provider}
		}
	}
	b.Fatalf("backup %s has no task %q", id, provider)
	return backup.TaskArgs{}
}

// due makes the next attempt at each task of a backup, and at its step, due, as time
// would.
func (b *bundle) due(id string) {
	b.Helper()
	b.exec("UPDATE {backup_task} SET next_attempt_at = now() WHERE backup_id = $1 AND next_attempt_at IS NOT NULL", id)
	b.exec("UPDATE {backup} SET next_attempt_at = now() WHERE id = $1 AND next_attempt_at IS NOT NULL", id)
}

func (b *bundle) claim(id, provider string) *backup.TaskWork {
	b.Helper()
	b.due(id)
	w, err := b.ledger.ClaimTask(b.ctx, b.taskArgs(id, provider), claim(b.job(id, provider)))
	require.NoError(b, err)
	return w
}

// gate takes a claimed task through the commit gate with some content.
func (b *bundle) gate(w *backup.TaskWork) *blob.Content {
	b.Helper()
	require.NoError(b, b.ledger.OpenTask(b.ctx, w, backup.Source{Validator: `"v"`, ContentType: "text/plain", Size: 10}))
	c := content(w, 10)
	require.NoError(b, b.ledger.GateTask(b.ctx, w, c, backup.ProofLength))
	return c
}

// finish runs a task from pending to done.
func (b *bundle) finish(id, provider string) {
	b.Helper()
	w := b.claim(id, provider)
	b.gate(w)
	require.NoError(b, b.ledger.FinishTask(b.ctx, w.Lease))
}

// expire ends every lease, as time would.
func (b *bundle) expire() {
	b.Helper()
	b.exec("UPDATE {backup_task} SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL")
	b.exec("UPDATE {backup} SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL")
}

func content(w *backup.TaskWork, sizes ...int64) *blob.Content {
	c := &blob.Content{SHA256: [32]byte{1, 2, 3}}
	c.Parts = parts(w, 0, sizes...)
	for _, s := range sizes {
		c.Size += s
	}
	return c
}

func parts(w *backup.TaskWork, first int, sizes ...int64) []blob.Part {
	ps := make([]blob.Part, len(sizes))
	for i, s := range sizes {
		ps[i] = blob.Part{ID: blob.NewPartID(w.UploadID, w.Token, first+i), Size: s, CRC64: 1<<63 | uint64(i)}
	}
	return ps
}

func (b *bundle) requireState(id string, state backup.State, tasks map[string]backup.TaskState) {
	b.Helper()
	got := b.get(id)
	require.Equal(b, state, got.State)
	states := make(map[string]backup.TaskState)
	for _, t := range got.Tasks {
		states[t.Provider] = t.State
	}
	require.Equal(b, tasks, states)
	b.requireSound()
}

// requireSound checks what must hold of every row at any time.
func (b *bundle) requireSound() {
	b.Helper()
	require.Zero(b, b.count(`SELECT count(*) FROM {backup} b WHERE open_tasks <>
		(SELECT count(*) FROM {backup_task} t WHERE t.backup_id = b.id AND t.state IN ('pending', 'running', 'committing'))`), "open_tasks is exact")
	require.Zero(b, b.count(`SELECT count(*) FROM {backup} b WHERE event_seq <>
		(SELECT count(*) FROM {backup_event} e WHERE e.backup_id = b.id)`), "events have no gaps")
	require.Zero(b, b.count(`SELECT count(*) FROM {backup_task} t WHERE stored_bytes <>
		(SELECT coalesce(sum(size), 0) FROM {backup_part} p WHERE p.task_id = t.id)`), "the journal adds up")
}

func token() uuid.UUID { return uuid.New() }

// planned are exports whose sizes nobody knows.
func planned(providers ...string) []backup.Planned {
	exports := make([]backup.Planned, len(providers))
	for i, name := range providers {
		exports[i] = backup.Planned{Provider: name, Size: -1}
	}
	return exports
}

// eventually waits until fn says that it is so.
func eventually(t testing.TB, fn func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !fn() {
		select {
		case <-tick.C:
		case <-late:
			require.Fail(t, "not in time")
		}
	}
}
