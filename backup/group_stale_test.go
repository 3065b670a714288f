package backup_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// stops is a bundle whose statements stop when they have a snapshot, and read their
// first row of backup, until who holds the advisory lock lets them go on. A
// policy of row security does that, which is for those that aren't superusers.
func (b *bundle) stops(lock int64) *bundle {
	b.Helper()
	role := b.schema + "_role"
	for _, statement := range []string{
		`CREATE ROLE ` + role,
		`GRANT ALL ON SCHEMA ` + b.schema + ` TO ` + role,
		`GRANT ALL ON ALL TABLES IN SCHEMA ` + b.schema + ` TO ` + role,
		`GRANT ALL ON ALL SEQUENCES IN SCHEMA ` + b.schema + ` TO ` + role,
		fmt.Sprintf(`CREATE FUNCTION %s.pass() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN
			PERFORM pg_advisory_lock_shared(%d); PERFORM pg_advisory_unlock_shared(%[2]d); RETURN true; END'`, b.schema, lock),
		`ALTER TABLE {backup} ENABLE ROW LEVEL SECURITY`,
		`CREATE POLICY pass ON {backup} USING (` + b.schema + `.pass())`,
		`ALTER TABLE {backup_task} ENABLE ROW LEVEL SECURITY`,
		`CREATE POLICY pass ON {backup_task} USING (` + b.schema + `.pass())`,
	} {
		b.exec(statement)
	}
	b.Cleanup(func() {
		ctx := context.WithoutCancel(b.ctx)
		_, err := b.pool.Exec(ctx, `DROP OWNED BY `+role+`; DROP ROLE `+role)
		require.NoError(b, err)
	})
	return b.poolOf(func(cfg *pgxpool.Config) {
		cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "SET ROLE "+role)
			return err
		}
	})
}

// during runs verb, and change when verb has its snapshot but not its locks yet.
func (b *bundle) during(lock int64, verb func() error, change func()) error {
	b.Helper()
	conn, err := b.pool.Acquire(b.ctx)
	require.NoError(b, err)
	defer conn.Release()
	_, err = conn.Exec(b.ctx, "SELECT pg_advisory_lock($1)", lock)
	require.NoError(b, err)
	done := make(chan error, 1)
	go func() { done <- verb() }()
	require.Eventually(b, func() bool {
		return b.count(`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND (classid::bigint << 32) + objid::bigint = $1`, lock) > 0
	}, 5*time.Second, 2*time.Millisecond)
	change()
	_, err = conn.Exec(b.ctx, "SELECT pg_advisory_unlock($1)", lock)
	require.NoError(b, err)
	return <-done
}

// kind is what a caller sees of an error.
func kind(err error) string {
	var idle *backup.IdleError
	var leased *backup.LeasedError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, backup.ErrLeaseLost):
		return "lost"
	case errors.Is(err, backup.ErrNotFound):
		return "gone"
	case errors.As(err, &idle):
		return idle.Reason
	case errors.As(err, &leased):
		return "leased"
	}
	return err.Error()
}

// racing is a backup with two tasks, db, which a verb is about, and site.
type racing struct {
	*bundle
	id       string
	args     backup.TaskArgs
	job      int64
	db, site *backup.TaskWork
}

// staleVerbs are the verbs, each with what comes before it.
var staleVerbs = map[string][2]func(r *racing, l *backup.Ledger) error{
	"claim": {nil, func(r *racing, l *backup.Ledger) error {
		_, err := l.ClaimTask(r.ctx, r.args, claim(r.job))
		return err
	}},
	"open": {func(r *racing, _ *backup.Ledger) error {
		r.db = r.claim(r.id, "db")
		return nil
	}, func(r *racing, l *backup.Ledger) error { return l.OpenTask(r.ctx, r.db, backup.Source{Size: 10}) }},
	"gate": {func(r *racing, l *backup.Ledger) error {
		r.db = r.claim(r.id, "db")
		return l.OpenTask(r.ctx, r.db, backup.Source{Size: 10})
	}, func(r *racing, l *backup.Ledger) error {
		return l.GateTask(r.ctx, r.db, content(r.db, 4, 6), backup.ProofLength)
	}},
	"finish": {func(r *racing, _ *backup.Ledger) error {
		r.db = r.claim(r.id, "db")
		r.gate(r.db)
		return nil
	}, func(r *racing, l *backup.Ledger) error { return l.FinishTask(r.ctx, r.db.Lease) }},
}

// staleChanges are what others do meanwhile.
var staleChanges = map[string]func(r *racing){
	"the other is finished": func(r *racing) { require.NoError(r, r.ledger.FinishTask(r.ctx, r.site.Lease)) },
	"the other fails": func(r *racing) {
		_, err := r.ledger.FailTask(r.ctx, backup.Beat{Lease: r.site.Lease}, &backup.ClassError{Class: backup.ClassPermanent, Err: errTest}, backup.RetryPolicy{MaxAttempts: 3})
		require.NoError(r, err)
	},
	"the other is handed over": func(r *racing) {
		require.NoError(r, r.ledger.ReleaseTask(r.ctx, backup.Beat{Lease: r.site.Lease}))
	},
	"canceled": func(r *racing) {
		_, err := r.client.Cancel(r.ctx, r.id)
		require.NoError(r, err)
	},
	"canceled, retried": func(r *racing) {
		_, err := r.client.Cancel(r.ctx, r.id)
		require.NoError(r, err)
		require.NoError(r, r.ledger.FinishTask(r.ctx, r.site.Lease)) // committing: it ends the cancel
		if r.get(r.id).State == backup.StateCanceled {
			_, err = r.client.Retry(r.ctx, r.id)
			require.NoError(r, err)
		}
	},
	"deleted": func(r *racing) { r.exec(`DELETE FROM {backup} WHERE id = $1`, r.id) },
	"claimed by another": func(r *racing) {
		r.exec(`UPDATE {backup_task} SET lease_until = now() - interval '1 second' WHERE id = $1 AND lease_until IS NOT NULL`, r.args.TaskID)
		_, err := r.ledger.ClaimTask(r.ctx, r.args, claim(r.job))
		require.NoError(r, err)
	},
	"fails itself": func(r *racing) {
		if r.db != nil {
			_, err := r.ledger.FailTask(r.ctx, backup.Beat{Lease: r.db.Lease}, &backup.ClassError{Class: backup.ClassRetryable, Err: errTest}, backup.RetryPolicy{MaxAttempts: 3})
			require.NoError(r, err)
		}
	},
}

// A backup that changes between a group's snapshot and its locks, through somebody
// who goes the general way, is as if that had come first.
func TestGroupsOverStaleSnapshots(t *testing.T) {
	b := setup(t, noRefusals(t))
	b.ledger = b.ledger.General()
	lock := int64(rand.Uint32())
	stops := b.stops(lock)
	for _, verb := range slices.Sorted(maps.Keys(staleVerbs)) {
		for _, change := range slices.Sorted(maps.Keys(staleChanges)) {
			for _, continues := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, %t", verb, change, continues), func(t *testing.T) {
					var ended [2][]map[string]any
					var kinds [2]string
					for i := range ended {
						own := *b
						own.T = t
						r := &racing{bundle: &own, id: b.start(func(p *backup.StartParams) { p.ContinueOnFailure = continues }).ID}
						r.plan(r.id, "db", "site")
						r.args, r.job = r.taskArgs(r.id, "db"), r.bundle.job(r.id, "db")
						r.site = r.claim(r.id, "site")
						r.gate(r.site)
						if before := staleVerbs[verb][0]; before != nil {
							require.NoError(t, before(r, r.ledger))
						}
						var err error
						if i == 0 {
							staleChanges[change](r)
							err = staleVerbs[verb][1](r, r.ledger)
						} else {
							err = r.during(lock, func() error { return staleVerbs[verb][1](r, stops.ledger) }, func() { staleChanges[change](r) })
						}
						kinds[i] = kind(err)
						r.requireSound()
						if change != "deleted" {
							ended[i] = r.rows(r.id)
						}
					}
					require.Equal(t, kinds[0], kinds[1])
					require.Equal(t, ended[0], ended[1])
				})
			}
		}
	}
}
