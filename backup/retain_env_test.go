package backup_test

import (
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/retention"
)

const day = 24 * time.Hour

// aged is a backup that is put into the tables as its workers would have left it.
type aged struct {
	user, site string
	age        time.Duration
	state      backup.State
	schedule   string
	providers  []string
	corrupt    bool
}

// store puts a backup of one provider, unless s says otherwise, that is done.
func (b *bundle) store(s aged) string {
	b.Helper()
	if s.user == "" {
		s.user = userID
	}
	if s.site == "" {
		s.site = siteID
	}
	if s.state == "" {
		s.state = backup.StateDone
	}
	if s.providers == nil {
		s.providers = []string{"db"}
	}
	id := uuid.Must(uuid.NewV7()).String()
	b.exec(`INSERT INTO {backup} (id, user_id, site_id, state, created_at, started_at, finished_at, manifest, manifest_key, schedule_id, corrupt_at)
		SELECT $1, $2, $3, $4, at, at, at, ''::bytea, 'manifest', nullif($6, '')::uuid, CASE WHEN $7 THEN at END FROM (SELECT now() - $5::interval AS at) t`,
		id, s.user, s.site, s.state, s.age, s.schedule, s.corrupt)
	for _, p := range s.providers {
		b.exec(`INSERT INTO {backup_task} (id, backup_id, provider, state, upload_id, object_key, finished_at, size, sha256, proof, capture_finished_at)
			VALUES ($1, $2, $3, 'done', $1, 'key', now(), 0, sha256(''), 'length', now())`, uuid.New(), id, p)
	}
	return id
}

// schedule makes one of the pair of the other tests.
func (b *bundle) schedule(name string, policy *retention.Policy, change ...func(*backup.ScheduleParams)) string {
	b.Helper()
	p := backup.ScheduleParams{UserID: userID, SiteID: siteID, Name: name, Cron: "@daily", Retention: policy}
	for _, f := range change {
		f(&p)
	}
	s, err := b.client.PutSchedule(b.ctx, p)
	require.NoError(b, err)
	return s.ID
}

// retaining is a client with a default policy.
func retaining(policy retention.Policy) func(*backup.Config) {
	return func(c *backup.Config) { c.Retention = &policy }
}

// apply applies retention to all pairs.
func (b *bundle) apply() backup.Applied {
	b.Helper()
	done, err := b.ledger.ApplyRetention(b.patience(), backup.Pair{}, 1000)
	require.NoError(b, err)
	require.Nil(b, done.Next)
	return done
}

// requireGoing checks which backups are deleting, and that each has a River job.
func (b *bundle) requireGoing(ids ...string) {
	b.Helper()
	rows, err := b.pool.Query(b.ctx, b.in(`SELECT id::text FROM {backup} WHERE state = 'deleting'`))
	require.NoError(b, err)
	require.ElementsMatch(b, ids, collect(b, rows))
	rows, err = b.pool.Query(b.ctx, b.in(`SELECT args->>'backup_id' FROM {river_job} WHERE kind = 'backup_delete'`))
	require.NoError(b, err)
	require.ElementsMatch(b, ids, collect(b, rows), "one River job for each")
}
