package backup_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

func TestStart(t *testing.T) {
	b := setup(t)
	started := b.start(func(p *backup.StartParams) { p.Labels = map[string]string{"why": "test"} })

	got := b.get(started.ID)
	require.Equal(t, backup.StatePending, got.State)
	require.Equal(t, userID, got.UserID)
	require.Equal(t, siteID, got.SiteID)
	require.Equal(t, map[string]string{"why": "test"}, got.Labels)
	require.Nil(t, got.Providers)
	require.Equal(t, started.CreatedAt, got.CreatedAt)

	events, err := b.client.Events(b.ctx, got.ID, 0, 10)
	require.NoError(t, err)
	require.Len(t, events, 1)
	require.Equal(t, backup.EventUploadJobCreated, events[0].Name)
	require.JSONEq(t, `{"state":"pending","userId":"`+userID+`","siteId":"`+siteID+`"}`, string(events[0].Data))

	require.Equal(t, 1, b.count(`SELECT count(*) FROM {river_job} WHERE id = $1 AND kind = 'backup' AND queue = 'backup'
		AND args = jsonb_build_object('v', 1, 'backup_id', $2::text)
		AND tags::text[] = ARRAY['backup-' || $2]`, b.job(got.ID, ""), got.ID))
	b.requireSound()
}

func TestStartTx(t *testing.T) {
	b := setup(t)
	for _, commit := range []bool{false, true} {
		tx, err := b.pool.Begin(b.ctx)
		require.NoError(t, err)
		got, err := b.client.StartTx(b.ctx, tx, backup.StartParams{UserID: userID, SiteID: siteID})
		require.NoError(t, err)
		if commit {
			require.NoError(t, tx.Commit(b.ctx))
			b.requireState(got.ID, backup.StatePending, map[string]backup.TaskState{})
			continue
		}
		require.NoError(t, tx.Rollback(b.ctx))
		for _, table := range []string{"backup", "backup_event", "river_job"} {
			require.Zero(t, b.count("SELECT count(*) FROM {"+table+"}"), table)
		}
	}
}

// A client without a pool starts backups in the caller's transaction, and says
// what it can't do.
func TestStartTxWithoutPool(t *testing.T) {
	b := setup(t)
	client, err := backup.New(&backup.Config{Schema: b.schema})
	require.NoError(t, err)
	require.NoError(t, pgx.BeginFunc(b.ctx, b.pool, func(tx pgx.Tx) error {
		_, err := client.StartTx(b.ctx, tx, backup.StartParams{UserID: userID, SiteID: siteID, Providers: []string{"any"}})
		return err
	}))
	require.Equal(t, 1, b.count("SELECT count(*) FROM {backup}"))
	_, err = client.Start(b.ctx, backup.StartParams{UserID: userID, SiteID: siteID})
	require.ErrorContains(t, err, "Config.Pool is nil")
	_, err = client.Get(b.ctx, b.start().ID)
	require.ErrorContains(t, err, "Config.Pool is nil")
}

func TestStartMany(t *testing.T) {
	b := setup(t)
	ps := make([]backup.StartParams, 50)
	for i := range ps {
		ps[i] = backup.StartParams{UserID: userID, SiteID: siteID, Providers: []string{"db", "site", "db"}}
	}
	got, err := b.client.StartMany(b.ctx, ps)
	require.NoError(t, err)
	require.Len(t, got, 50)
	require.Equal(t, []string{"db", "site"}, b.get(got[7].ID).Providers)
	require.Equal(t, 50, b.count("SELECT count(DISTINCT river_job_id) FROM {backup} JOIN {river_job} j ON j.id = river_job_id"))

	ps[49].SiteID = ""
	_, err = b.client.StartMany(b.ctx, ps)
	require.Error(t, err)
	require.Equal(t, 50, b.count("SELECT count(*) FROM {backup}"), "one that is bad starts none")
}

func TestStartIdempotencyKey(t *testing.T) {
	b := setup(t)
	const n = 20
	ids := make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			got, err := b.client.Start(b.ctx, backup.StartParams{UserID: userID, SiteID: siteID, IdempotencyKey: "once"})
			if err == nil {
				ids[i] = got.ID
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		require.Equal(t, ids[0], id)
	}
	require.NotEmpty(t, ids[0])
	require.Equal(t, 1, b.count("SELECT count(*) FROM {river_job}"))

	other, err := b.client.Start(b.ctx, backup.StartParams{UserID: "other", SiteID: siteID, IdempotencyKey: "once"})
	require.NoError(t, err)
	require.NotEqual(t, ids[0], other.ID, "another tenant's key is another key")
}

func TestStartBadParams(t *testing.T) {
	t.Parallel()
	client, err := backup.New(&backup.Config{Providers: []backup.ProviderConfig{{Name: "site"}}})
	require.NoError(t, err)
	long := strings.Repeat("x", 201)
	for name, c := range map[string]struct {
		p     backup.StartParams
		field string
	}{
		"no user":           {backup.StartParams{SiteID: "s"}, "userId must not be empty"},
		"no site":           {backup.StartParams{UserID: "u"}, "siteId must not be empty"},
		"long":              {backup.StartParams{UserID: long, SiteID: "s"}, "userId must have at most 200 bytes"},
		"long when encoded": {backup.StartParams{UserID: "u", SiteID: strings.Repeat("ü", 34)}, "siteId must have at most 200 bytes"},
		"control":           {backup.StartParams{UserID: "a\x00b", SiteID: "s"}, "userId must not have control characters"},
		"newline":           {backup.StartParams{UserID: "u", SiteID: "a\n"}, "siteId must not have control characters"},
		"not UTF-8":         {backup.StartParams{UserID: "\xff", SiteID: "s"}, "userId must be valid UTF-8"},
		"provider":          {backup.StartParams{UserID: "u", SiteID: "s", Providers: []string{"mail"}}, "providers must name configured providers"},
		"provider's name":   {backup.StartParams{UserID: "u", SiteID: "s", Providers: []string{"No!"}}, "providers must name configured providers"},
		"key":               {backup.StartParams{UserID: "u", SiteID: "s", IdempotencyKey: strings.Repeat("k", 256)}, "idempotencyKey must have at most 255 bytes"},
		"label":             {backup.StartParams{UserID: "u", SiteID: "s", Labels: map[string]string{"": "v"}}, "labels must have keys of 1 to 63 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client.StartTx(t.Context(), nil, c.p)
			_, err2 := client.Start(t.Context(), c.p)
			require.Equal(t, err, err2, "it is said before the database is asked")
			var field *backup.FieldError
			require.True(t, errors.As(err, &field), "%v", err)
			require.ErrorContains(t, err, c.field)
		})
	}
}

func TestNewRejects(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]backup.Config{
		"Schema must":                     {Schema: "No Schema"},
		"Prefix must":                     {Prefix: "a/"},
		"must not have a segment that":    {Prefix: "a./b"},
		"that ends with a dot":            {Prefix: "b/a."},
		"MaxSkew must":                    {MaxSkew: 1},
		`provider name "A" must`:          {Providers: []backup.ProviderConfig{{Name: "A"}}},
		"configured twice":                {Providers: []backup.ProviderConfig{{Name: "a"}, {Name: "a"}}},
		"MaxAttempts must be between 1":   {Providers: []backup.ProviderConfig{{Name: "a", MaxAttempts: 101}}},
		"MaxWorkers must be between 1":    {Providers: []backup.ProviderConfig{{Name: "a", MaxWorkers: -1}}},
		"StallTimeout must be between":    {Providers: []backup.ProviderConfig{{Name: "a", StallTimeout: 1}}},
		"OpenTimeout must be between":     {Providers: []backup.ProviderConfig{{Name: "a", OpenTimeout: 1}}},
		"RetryFor must be at least":       {Providers: []backup.ProviderConfig{{Name: "a", RetryFor: 1}}},
		"MaxSize must not be negative":    {Providers: []backup.ProviderConfig{{Name: "a", MaxSize: -1}}},
		"must match ^[a-z0-9]+([_-][a-z0": {Providers: []backup.ProviderConfig{{Name: strings.Repeat("a", 41)}}},
	} {
		_, err := backup.New(&cfg)
		require.ErrorContains(t, err, want)
	}
}

func TestGetUnknown(t *testing.T) {
	b := setup(t)
	for _, id := range []string{"", "x", "0197b7c1-0000-7000-8000-000000000000", "{0197b7c1-0000-7000-8000-000000000000}", "urn:uuid:0197b7c1-0000-7000-8000-000000000000"} {
		_, err := b.client.Get(b.ctx, id)
		require.ErrorIs(t, err, backup.ErrNotFound, id)
		_, err = b.client.Cancel(b.ctx, id)
		require.ErrorIs(t, err, backup.ErrNotFound, id)
		_, err = b.client.Retry(b.ctx, id)
		require.ErrorIs(t, err, backup.ErrNotFound, id)
	}
}

func TestList(t *testing.T) {
	b := setup(t)
	var ids []string
	for range 5 {
		ids = append([]string{b.start().ID}, ids...)
	}
	b.start(func(p *backup.StartParams) { p.UserID = "other" })
	list := func(p backup.ListParams) (got []string) {
		bs, err := b.client.List(b.ctx, p)
		require.NoError(t, err)
		for _, b := range bs {
			got = append(got, b.ID)
		}
		return got
	}
	require.Len(t, list(backup.ListParams{}), 6)
	require.Equal(t, ids, list(backup.ListParams{UserID: userID, SiteID: siteID, State: backup.StatePending}))
	require.Empty(t, list(backup.ListParams{UserID: userID, State: backup.StateDone}))

	page := list(backup.ListParams{UserID: userID, Limit: 2})
	require.Equal(t, ids[:2], page)
	last := b.get(page[1])
	b.start() // a new one doesn't move the cursor
	require.Equal(t, ids[2:], list(backup.ListParams{UserID: userID, After: &backup.Cursor{CreatedAt: last.CreatedAt, ID: last.ID}}))
}
