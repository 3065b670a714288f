package backup_test

import (
	"fmt"
	"os"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// whole matches a table or an index that is read from one end to the other, or, of
// all open backups, those that aren't one user's.
var whole = regexp.MustCompile(`Seq Scan on backup.*|(Hash|Merge) Join|using backup\w* on backup.*\n +(Filter|->).*|using backup_open on backup o\b.*`)

// Groups read no table whole, however many rows there are: auto_explain tells how
// each of their statements was executed.
func TestGroupPlans(t *testing.T) {
	b := setup(t)
	rows, open, n := 5000, 2000, 20
	if os.Getenv("BACKUP_TEST_SOAK") == "1" {
		rows, open, n = 300_000, 100_000, 200
	}
	b.exec(`INSERT INTO {backup} (id, user_id, site_id, state, finished_at) SELECT gen_random_uuid(), 'u' || g % 1000, 's', 'canceled', now() FROM generate_series(1, $1::int) g`, rows)
	b.exec(`INSERT INTO {backup_task} (id, backup_id, provider, upload_id, object_key, state, finished_at) SELECT gen_random_uuid(), id, p, gen_random_uuid(), 'k', 'canceled', now() FROM {backup}, unnest(array['db', 'site']) p`)
	b.exec(`INSERT INTO {backup_part} (task_id, idx, part_id, size, crc64) SELECT id, g, 'p', 1, 1 FROM {backup_task}, generate_series(0, 1) g`)
	b.exec(`ANALYZE {backup}, {backup_task}, {backup_part}`) // when nothing was open, as every night

	m, explained := b.explained()
	step := func(name string, n int, fn func(i int) error) {
		explained()
		began := time.Now()
		requireNone(t, m.together(n, fn))
		t.Logf("%s: %d calls in %s", name, n, time.Since(began))
		plans := explained()
		require.NotEmpty(t, plans)
		for _, plan := range plans {
			require.False(t, whole.MatchString(plan), "%s: %s", name, whole.FindString(plan))
		}
	}
	m.live(1, step) // its connections plan now, and keep it
	b.exec(`INSERT INTO {backup} (id, user_id, site_id, state) SELECT gen_random_uuid(), 'u' || g % 1000, 's', (array['pending', 'running', 'sealing'])[1 + g % 3] FROM generate_series(1, $1::int) g`, open)
	m.live(1, step)
	m.live(n, step)
}

// explained is b on connections of its own, and what they have told, since it was last
// asked for, of how each of their statements was executed.
func (b *bundle) explained() (m *bundle, plans func() []string) {
	b.Helper()
	var mu sync.Mutex
	var all []string
	m = b.poolOf(func(cfg *pgxpool.Config) {
		cfg.MaxConns = 2
		for name, value := range map[string]string{
			"session_preload_libraries": "auto_explain", "auto_explain.log_min_duration": "0", "auto_explain.log_level": "notice",
			"client_min_messages": "notice",
		} {
			cfg.ConnConfig.RuntimeParams[name] = value
		}
		cfg.ConnConfig.OnNotice = func(_ *pgconn.PgConn, notice *pgconn.Notice) {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, notice.Message)
		}
	})
	return m, func() []string {
		mu.Lock()
		defer mu.Unlock()
		told := all
		all = nil
		return told
	}
}

// live takes n backups through all their steps, each step of all together.
func (b *bundle) live(n int, step func(name string, n int, fn func(i int) error)) {
	b.Helper()
	ids, steps, works := make([]string, n), make([]*backup.StepWork, n), make([]*backup.TaskWork, n)
	jobs, args := make([]int64, n), make([]backup.TaskArgs, n)
	for i := range ids {
		ids[i] = b.start(func(p *backup.StartParams) { p.UserID = fmt.Sprint("u", i) }).ID
		jobs[i] = b.job(ids[i], "")
	}
	step("claim plan", n, func(i int) (err error) {
		steps[i], err = b.ledger.ClaimPlan(b.ctx, ids[i], claim(jobs[i]))
		return err
	})
	step("finish plan", n, func(i int) error { return b.ledger.FinishPlan(b.ctx, steps[i].Lease, planned("db")) })
	for i := range ids {
		args[i], jobs[i] = b.taskArgs(ids[i], "db"), b.job(ids[i], "db")
	}
	step("claim", n, func(i int) (err error) {
		works[i], err = b.ledger.ClaimTask(b.ctx, args[i], claim(jobs[i]))
		return err
	})
	step("open", n, func(i int) error { return b.ledger.OpenTask(b.ctx, works[i], backup.Source{Size: -1}) })
	step("gate", n, func(i int) error {
		c := &blob.Content{SHA256: [32]byte{1}, Parts: parts(works[i], 0, make([]int64, 8)...), Size: 8}
		for k := range c.Parts {
			c.Parts[k].Size = 1
		}
		return b.ledger.GateTask(b.ctx, works[i], c, backup.ProofLength)
	})
	step("finish", n, func(i int) error { return b.ledger.FinishTask(b.ctx, works[i].Lease) })
	for i := range ids {
		jobs[i] = b.job(ids[i], "")
	}
	step("claim seal", n, func(i int) (err error) {
		steps[i], err = b.ledger.ClaimSeal(b.ctx, ids[i], claim(jobs[i]))
		return err
	})
	step("save", n, func(i int) error {
		_, _, err := b.ledger.SaveManifest(b.ctx, steps[i])
		return err
	})
	step("finish seal", n, func(i int) error { return b.ledger.FinishSeal(b.ctx, steps[i].Lease) })
}
