package backup_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

func keyed(caller, key string) backup.StartParams {
	return backup.StartParams{UserID: userID, SiteID: siteID, IdempotencyScope: caller, IdempotencyKey: key}
}

func ifActive(what backup.IfActive) backup.StartParams {
	return backup.StartParams{UserID: userID, SiteID: siteID, IfActive: what}
}

// among starts n backups at once and returns what they gave.
func (b *bundle) among(n int, p backup.StartParams) (ids []string, errs []error) {
	b.Helper()
	ids, errs = make([]string, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			got, err := b.client.Start(b.ctx, p)
			if errs[i] = err; err == nil {
				ids[i] = got.ID
			}
		})
	}
	wg.Wait()
	return ids, errs
}

// However many start a backup with one key, or join one, at once: there is one.
func TestConcurrentStartsMakeOne(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]backup.StartParams{
		"key":          keyed("ann", "once"),
		"join":         ifActive(backup.IfActiveJoin),
		"key and join": {UserID: userID, SiteID: siteID, IdempotencyScope: "ann", IdempotencyKey: "k", IfActive: backup.IfActiveJoin},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			for range envtest.Count(2, 20) {
				b.exec("UPDATE {backup} SET state = 'done', finished_at = now(), manifest = '', manifest_key = ''")
				b.exec("DELETE FROM {backup_key}")
				before := b.count("SELECT count(*) FROM {backup}")
				ids, errs := b.among(200, p)
				for i := range ids {
					require.NoError(t, errs[i])
					require.Equal(t, ids[0], ids[i])
				}
				require.Equal(t, before+1, b.count("SELECT count(*) FROM {backup}"))
				require.Equal(t, before+1, b.count("SELECT count(*) FROM {river_job} WHERE kind = 'backup'"))
			}
		})
	}
}

func TestConcurrentRejects(t *testing.T) {
	b := setup(t)
	ids, errs := b.among(50, ifActive(backup.IfActiveReject))
	made := strings.Join(ids, "")
	require.Len(t, made, 36, "one was made")
	for _, err := range errs {
		if err != nil {
			require.Equal(t, error(&backup.ActiveError{BackupID: made}), err)
		}
	}
	require.Equal(t, 1, b.count("SELECT count(*) FROM {backup}"))
}

func TestKeyIsItsCallers(t *testing.T) {
	b := setup(t)
	start := func(p backup.StartParams) string {
		got, err := b.client.Start(b.ctx, p)
		require.NoError(t, err)
		return got.ID
	}
	first := start(keyed("ann", "k"))
	require.Equal(t, first, start(keyed("ann", "k")))
	same := keyed("ann", "k")
	same.IfActive, same.Labels = backup.IfActiveStart, map[string]string{}
	require.Equal(t, first, start(same), "the defaults, spelled out")
	others := []string{first, start(keyed("bob", "k")), start(keyed("ann", "K")), start(keyed("", "k"))}
	for i, a := range others {
		for _, c := range others[:i] {
			require.NotEqual(t, a, c)
		}
	}
	for name, change := range map[string]func(*backup.StartParams){
		"user":      func(p *backup.StartParams) { p.UserID = "u" },
		"site":      func(p *backup.StartParams) { p.SiteID = "s" },
		"providers": func(p *backup.StartParams) { p.Providers = []string{"db"} },
		"labels":    func(p *backup.StartParams) { p.Labels = map[string]string{"a": "b"} },
		"continue":  func(p *backup.StartParams) { p.ContinueOnFailure = true },
		"size":      func(p *backup.StartParams) { p.MaxSize = 1 },
		"ifActive":  func(p *backup.StartParams) { p.IfActive = backup.IfActiveJoin },
	} {
		p := keyed("ann", "k")
		change(&p)
		_, err := b.client.Start(b.ctx, p)
		require.Equal(t, error(&backup.KeyReusedError{BackupID: first}), err, name)
	}
	require.Equal(t, 4, b.count("SELECT count(*) FROM {backup}"))
}

// What a key has started is answered with it, also where the configuration of today
// would refuse to start it; a key that has started nothing is free after that.
func TestKeyOutlivesTheConfiguration(t *testing.T) {
	b := setup(t)
	p := keyed("ann", "k")
	p.Providers = []string{"db", "site"}
	first, err := b.client.Start(b.ctx, p)
	require.NoError(t, err)
	fewer, err := backup.New(&backup.Config{Pool: b.pool, Schema: b.schema, Providers: []backup.ProviderConfig{{Name: "site"}}})
	require.NoError(t, err)
	again, err := fewer.Start(b.ctx, p)
	require.NoError(t, err)
	require.Equal(t, first.ID, again.ID)

	fresh := keyed("ann", "k2")
	fresh.Providers = p.Providers
	require.NoError(t, pgx.BeginFunc(b.ctx, b.pool, func(tx pgx.Tx) error {
		_, err := fewer.StartTx(b.ctx, tx, fresh)
		require.Equal(t, error(&backup.FieldError{Field: "providers", Rule: "must name configured providers only"}), err)
		return nil
	}))
	require.Equal(t, 0, b.count("SELECT count(*) FROM {backup_key} WHERE key = 'k2'"))
	require.Equal(t, 1, b.count("SELECT count(*) FROM {backup}"))
}

func TestKeyExpires(t *testing.T) {
	b := setup(t)
	first, err := b.client.Start(b.ctx, keyed("ann", "k"))
	require.NoError(t, err)
	require.Equal(t, 1, b.count("SELECT count(*) FROM {backup_key} WHERE expires_at = created_at + interval '24 hours'"))
	b.exec("UPDATE {backup_key} SET expires_at = now()")
	p := keyed("ann", "k")
	p.MaxSize = 7
	ids, errs := b.among(20, p)
	require.NotEqual(t, first.ID, ids[0])
	for i := range ids {
		require.NoError(t, errs[i])
		require.Equal(t, ids[0], ids[i])
	}

	_, err = b.client.Start(b.ctx, keyed("ann", "old"))
	require.NoError(t, err)
	b.exec("UPDATE {backup_key} SET expires_at = now() WHERE key = 'old'")
	n, err := b.ledger.DropExpiredKeys(b.ctx, 100)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, 1, b.count("SELECT count(*) FROM {backup_key} WHERE key = 'k'"))
}

// The key of a backup that was joined answers with that one also when it has
// ended.
func TestKeyOfJoined(t *testing.T) {
	b := setup(t)
	first, err := b.client.Start(b.ctx, ifActive(backup.IfActiveJoin))
	require.NoError(t, err)
	p := keyed("ann", "k")
	p.IfActive = backup.IfActiveJoin
	for range 2 {
		got, err := b.client.Start(b.ctx, p)
		require.NoError(t, err)
		require.Equal(t, first.ID, got.ID)
		_, err = b.client.Cancel(b.ctx, first.ID)
		require.NoError(t, err)
	}
	got, err := b.client.Start(b.ctx, ifActive(backup.IfActiveJoin))
	require.NoError(t, err)
	require.NotEqual(t, first.ID, got.ID, "what has ended isn't joined without it")
}

// What excludes a backup is one that was asked for in the same way and hasn't
// ended, of the same user and site.
func TestIfActive(t *testing.T) {
	b := setup(t)
	b.start() // not one of those
	join, err := b.client.Start(b.ctx, ifActive(backup.IfActiveJoin))
	require.NoError(t, err)
	again, err := b.client.Start(b.ctx, ifActive(backup.IfActiveJoin))
	require.NoError(t, err)
	require.Equal(t, join.ID, again.ID)
	_, err = b.client.Start(b.ctx, ifActive(backup.IfActiveReject))
	require.Equal(t, error(&backup.ActiveError{BackupID: join.ID}), err)
	require.NotEqual(t, join.ID, b.start().ID, "start starts")
	other := ifActive(backup.IfActiveReject)
	other.SiteID = "other"
	_, err = b.client.Start(b.ctx, other)
	require.NoError(t, err)

	_, err = b.client.Cancel(b.ctx, join.ID)
	require.NoError(t, err)
	next, err := b.client.Start(b.ctx, ifActive(backup.IfActiveReject))
	require.NoError(t, err)
	_, err = b.client.Retry(b.ctx, join.ID)
	require.NoError(t, err, "one that is retried isn't in the way, nor is another in its")
	again, err = b.client.Start(b.ctx, ifActive(backup.IfActiveJoin))
	require.NoError(t, err)
	require.Equal(t, next.ID, again.ID)
	b.requireSound()
}

// A conflict doesn't abort the caller's transaction, and leaves nothing in it.
func TestStartTxConflicts(t *testing.T) {
	b := setup(t)
	active, err := b.client.Start(b.ctx, ifActive(backup.IfActiveJoin))
	require.NoError(t, err)
	used, err := b.client.Start(b.ctx, keyed("ann", "used"))
	require.NoError(t, err)
	rejected := keyed("ann", "fresh")
	rejected.IfActive = backup.IfActiveReject
	reused := keyed("ann", "used")
	reused.MaxSize = 1
	require.NoError(t, pgx.BeginFunc(b.ctx, b.pool, func(tx pgx.Tx) error {
		for range 2 {
			_, err := b.client.StartTx(b.ctx, tx, rejected)
			require.Equal(t, error(&backup.ActiveError{BackupID: active.ID}), err)
			_, err = b.client.StartTx(b.ctx, tx, reused)
			require.Equal(t, error(&backup.KeyReusedError{BackupID: used.ID}), err)
		}
		for range 2 {
			_, err := b.client.StartTx(b.ctx, tx, keyed("ann", "third"))
			require.NoError(t, err)
		}
		return nil
	}))
	require.Equal(t, 3, b.count("SELECT count(*) FROM {backup}"))
	require.Equal(t, 2, b.count("SELECT count(*) FROM {backup_key}"), "a rejected call takes no key")
}

// A start waits for the open transaction that has its key or its pair, and is the
// one that makes the backup if that is rolled back.
func TestStartBehindRollback(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]backup.StartParams{"key": keyed("ann", "k"), "join": ifActive(backup.IfActiveJoin)} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			tx, err := b.pool.Begin(b.ctx)
			require.NoError(t, err)
			gone, err := b.client.StartTx(b.ctx, tx, p)
			require.NoError(t, err)
			made := make(chan string, 1)
			go func() {
				if got, err := b.client.Start(b.ctx, p); err == nil {
					made <- got.ID
				}
				close(made)
			}()
			b.waitForLock()
			require.NoError(t, tx.Rollback(b.ctx))
			id := <-made
			require.NotEmpty(t, id)
			require.NotEqual(t, gone.ID, id)
			require.Equal(t, backup.StatePending, b.get(id).State)
		})
	}
}

// waitForLock waits until somebody waits for a lock with a statement on the
// schema.
func (b *bundle) waitForLock() {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for waiting := false; !waiting; {
		<-tick.C
		require.NoError(b, b.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%' || $1 || '%')`, b.schema).Scan(&waiting))
	}
}

func TestStartOnceBadParams(t *testing.T) {
	t.Parallel()
	client, err := backup.New(&backup.Config{})
	require.NoError(t, err)
	_, err = client.Start(t.Context(), ifActive("maybe"))
	require.EqualError(t, err, "ifActive must be start, join or reject")
	_, err = client.Start(t.Context(), keyed(strings.Repeat("x", 256), "k"))
	require.EqualError(t, err, "idempotencyScope must have at most 255 bytes and no control characters")
	_, err = backup.New(&backup.Config{KeyLifetime: time.Second})
	require.EqualError(t, err, "KeyLifetime must be at least 1 minute")
}
