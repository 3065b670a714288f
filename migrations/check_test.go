package migrations_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/internal/envtest"
)

// row is a row's columns, as SQL expressions.
type row map[string]string

const (
	id      = `'00000000-0000-0000-0000-000000000001'`
	other   = `'00000000-0000-0000-0000-000000000002'`
	unknown = `'00000000-0000-0000-0000-000000000009'`
	null    = "NULL"
)

// good rows, one of each table, that every bad row differs from.
var good = map[string]row{
	"backup": {"id": id, "user_id": "'u'", "site_id": "'s'", "idempotency_key": "'k'", "source_job_id": "7", "source_job_created_at": "'2026-01-01'"},
	"backup_task": {
		"id": id, "backup_id": id, "provider": "'db'", "upload_id": id, "object_key": "'o'",
	},
	"backup_part":      {"task_id": id, "idx": "0", "part_id": "'p'", "size": "1", "crc64": "-1"},
	"backup_event":     {"backup_id": id, "seq": "1", "name": "'UpdateTask'", "data": "'{}'"},
	"backup_migration": {"version": "2", "name": "'later'"},
}

// keys set the good rows apart from those that are there already.
var keys = map[string]row{
	"backup":       {"id": other, "idempotency_key": "'k2'", "source_job_id": "8"},
	"backup_task":  {"id": other, "provider": "'site'"},
	"backup_part":  {"idx": "1"},
	"backup_event": {"seq": "2"},
}

// done is what makes a task's row pass the commit gate.
var done = row{"state": "'done'", "finished_at": "now()", "size": "3", "stored_bytes": "3", "sha256": "sha256('x')", "proof": "'length'", "capture_finished_at": "now()"}

func (r row) with(changes ...row) row {
	out := maps.Clone(r)
	for _, c := range changes {
		maps.Copy(out, c)
	}
	return out
}

func (r row) insert(schema, table string) string {
	columns := slices.Sorted(maps.Keys(r))
	values := make([]string, len(columns))
	for i, c := range columns {
		values[i] = r[c]
	}
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", pgx.Identifier{schema, table}.Sanitize(), strings.Join(columns, ", "), strings.Join(values, ", "))
}

// checked returns a pool on a migrated schema that has the good rows.
func checked(t *testing.T) (*pgxpool.Pool, string) {
	t.Helper()
	pool, schema := envtest.Schema(t)
	up(t, pool, in(schema))
	for _, table := range []string{"backup", "backup_task", "backup_part", "backup_event"} {
		exec(t, pool, good[table].insert(schema, table))
	}
	return pool, schema
}

func text(n int) string { return fmt.Sprintf("repeat('x', %d)", n) }

func TestBadRowsAreRejected(t *testing.T) {
	t.Parallel()
	pool, schema := checked(t)
	for _, c := range []struct {
		table, constraint string
		change            row
	}{
		{"backup", "backup_state_check", row{"state": "'queued'"}},
		{"backup", "backup_state_check", row{"state": "'Done'"}},
		{"backup", "backup_open_tasks_check", row{"open_tasks": "-1"}},
		{"backup", "backup_finished", row{"state": "'failed'"}},
		{"backup", "backup_finished", row{"state": "'canceled'"}},
		{"backup", "backup_finished", row{"finished_at": "now()"}},
		{"backup", "backup_finished", row{"state": "'sealing'", "finished_at": "now()"}},
		{"backup", "backup_done_is_whole", row{"state": "'done'", "finished_at": "now()"}},
		{"backup", "backup_done_is_whole", row{"state": "'done'", "finished_at": "now()", "manifest": "'x'", "manifest_key": "'k'", "open_tasks": "1"}},
		{"backup", "backup_done_is_whole", row{"state": "'done'", "finished_at": "now()", "manifest": "'x'", "manifest_key": "'k'", "failed_tasks": "1"}},
		{"backup", "backup_done_is_whole", row{"state": "'done'", "finished_at": "now()", "manifest": "'x'"}},
		{"backup", "backup_lease", row{"lease_token": id}},
		{"backup", "backup_lease", row{"lease_until": "now()"}},
		{"backup", "backup_idempotency_key", row{"idempotency_key": "'k'"}},
		{"backup", "backup_source_job", row{"source_job_id": "7"}},

		{"backup_task", "backup_task_state_check", row{"state": "'sealing'"}},
		{"backup_task", "backup_task_finished", row{"state": "'failed'"}},
		{"backup_task", "backup_task_finished", row{"finished_at": "now()"}},
		{"backup_task", "backup_task_finished", done.with(row{"finished_at": null})},
		{"backup_task", "backup_task_gate", done.with(row{"size": null})},
		{"backup_task", "backup_task_gate", done.with(row{"stored_bytes": "2"})},
		{"backup_task", "backup_task_gate", done.with(row{"sha256": null})},
		{"backup_task", "backup_task_gate", done.with(row{"proof": null})},
		{"backup_task", "backup_task_gate", done.with(row{"capture_finished_at": null})},
		{"backup_task", "backup_task_gate", row{"state": "'committing'"}},
		{"backup_task", "backup_task_lease", row{"state": "'running'", "lease_token": id}},
		{"backup_task", "backup_task_lease", row{"lease_until": "now()"}},
		{"backup_task", "backup_task_leased", row{"lease_token": id, "lease_until": "now()"}},
		{"backup_task", "backup_task_leased", done.with(row{"lease_token": id, "lease_until": "now()"})},
		{"backup_task", "backup_task_provider", row{"provider": "'db'"}},
		{"backup_task", "backup_task_backup_id_fkey", row{"backup_id": unknown}},

		{"backup_part", "backup_part_idx_check", row{"idx": "-1"}},
		{"backup_part", "backup_part_idx_check", row{"idx": "50000"}},
		{"backup_part", "backup_part_size_check", row{"size": "0"}},
		{"backup_part", "backup_part_pkey", row{"idx": "0"}},
		{"backup_part", "backup_part_task_id_fkey", row{"task_id": unknown}},

		{"backup_event", "backup_event_seq", row{"seq": "0"}},
		{"backup_event", "backup_event_name_check", row{"name": "'Other'"}},
		{"backup_event", "backup_event_pkey", row{"seq": "1"}},
		{"backup_event", "backup_event_backup_id_fkey", row{"backup_id": unknown}},

		{"backup_migration", "backup_migration_version_check", row{"version": "0"}},
	} {
		sql := good[c.table].with(keys[c.table], c.change).insert(schema, c.table)
		_, err := pool.Exec(t.Context(), sql)
		var pg *pgconn.PgError
		require.ErrorAs(t, err, &pg, sql)
		require.Equal(t, c.constraint, pg.ConstraintName, sql)
	}
}

func TestGoodRowsAreAccepted(t *testing.T) {
	t.Parallel()
	pool, schema := checked(t)
	whole := row{"state": "'done'", "finished_at": "now()", "manifest": "'x'", "manifest_key": "'k'"}
	for _, c := range []struct {
		table  string
		change row
	}{
		{"backup", row{}},
		{"backup", whole},
		{"backup", row{"state": "'deleting'"}},
		{"backup", row{"state": "'deleting'", "finished_at": "now()"}},
		{"backup", row{"state": "'sealing'", "lease_token": id, "lease_until": "now()"}},
		{"backup", row{"idempotency_key": null, "source_job_id": null, "source_job_created_at": null}},
		{"backup", row{"user_id": text(200), "site_id": text(200), "idempotency_key": text(255)}},
		{"backup_task", row{}},
		{"backup_task", done},
		{"backup_task", done.with(row{"size": "0", "stored_bytes": "0", "stored_parts": "50000"})},
		{"backup_task", done.with(row{"state": "'committing'", "finished_at": null, "lease_token": id, "lease_until": "now()"})},
		{"backup_task", row{"provider": text(40), "object_key": text(1024)}},
		{"backup_part", row{"idx": "49999"}},
		{"backup_event", row{"name": "'UpdatePartTask'"}},
	} {
		sql := good[c.table].with(keys[c.table], c.change).insert(schema, c.table)
		tx, err := pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
		require.NoError(t, tx.Rollback(t.Context()))
	}
}

func TestRowsGoWithTheirBackup(t *testing.T) {
	t.Parallel()
	pool, schema := checked(t)
	exec(t, pool, "DELETE FROM "+pgx.Identifier{schema, "backup"}.Sanitize())
	for _, table := range []string{"backup_task", "backup_part", "backup_event"} {
		var n int
		require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM "+pgx.Identifier{schema, table}.Sanitize()).Scan(&n))
		require.Zero(t, n, table)
	}
}
