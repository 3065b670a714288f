package jobs

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// An erasure that is held up by the deletion of a backup that has a row says so.
func TestEraseSaysWhatHoldsItUp(t *testing.T) {
	broken := true
	b := setup(t, tinySetup(func(t *testing.T) blob.Store {
		return &recorder{Store: fileStore(t), fail: func(key string) error {
			if broken && strings.Contains(key, "somebody") {
				return busyError(key)
			}
			return nil
		}}
	}))
	b.work()
	id := b.start(of("somebody", "s"))
	b.wait(id)
	e, err := b.client.Erase(b.ctx, backup.EraseParams{UserID: "somebody"})
	require.NoError(t, err)
	b.eventually("the error", 20*time.Second, func() bool {
		e, err = b.client.GetErasure(b.ctx, e.ID)
		require.NoError(t, err)
		return strings.Contains(e.Error, "busy")
	})
}

// A worker that slept through an erasure is killed when it has written its manifest. What
// it wrote is found later, by a record that names nobody.
func TestZombieOfErasedUserIsKilled(t *testing.T) {
	for _, p := range places() {
		t.Run(p.name, func(t *testing.T) {
			z := newZombie(t, p, &child{StopIn: "/manifest", KillIn: true})
			z.isStopped()
			z.work()
			z.taken()
			e, err := z.client.Erase(z.ctx, backup.EraseParams{UserID: userID})
			require.NoError(t, err)
			z.requireErased(e.ID)
			require.NoError(t, z.p.Process.Signal(syscall.SIGCONT))
			_ = z.p.Wait()
			require.Len(t, z.keys(), 1, "the late manifest")
			z.requireUnnamed(userID, z.id)

			client, _ := z.riverClient()
			for i, want := range []int{1, 0} {
				z.exec("UPDATE {backup_forgotten} SET due_at = now()")
				args, opts := forgottenJob()
				res, err := client.Insert(z.ctx, args, opts)
				require.NoError(t, err)
				z.eventually("the look through the store", 30*time.Second, func() bool {
					got, err := client.JobGet(z.ctx, res.Job.ID)
					require.NoError(t, err)
					require.Empty(t, got.Errors)
					return got.State == rivertype.JobStateCompleted
				})
				got, err := client.JobGet(z.ctx, res.Job.ID)
				require.NoError(t, err)
				require.JSONEq(t, fmt.Sprintf(`{"orphans":%d}`, want), string(got.Output()))
				require.Empty(t, z.keys())
				require.Equal(t, 1-i, z.count("SELECT count(*) FROM {backup_forgotten}"))
			}
			z.requireUnnamed(userID, z.id)
		})
	}
}

// An object at an erased backup's place that can't be removed keeps none of the others.
func TestForgottenPassesOverWhatStays(t *testing.T) {
	b := setup(t, tinySetup(func(t *testing.T) blob.Store {
		return &recorder{Store: fileStore(t), fail: func(key string) error {
			if strings.HasPrefix(key, "a/u/s/0") {
				return errors.New("immutable")
			}
			return nil
		}}
	}))
	for i, place := range []string{"a/u/s/0", "a/u/s/1", "b/u/s/2"} {
		for _, object := range []string{"/manifest.json", "/site/x"} {
			require.NoError(t, blob.Put(b.ctx, b.store, place+object, []byte("x"), "", nil))
		}
		b.exec("INSERT INTO {backup_forgotten} (digest, prefix, due_at) VALUES (sha256($1::text::bytea), $2, now() - make_interval(mins => 10 - $3))",
			path.Base(place), place[:1], i)
	}
	client, _ := b.riverClient()
	require.NoError(t, client.Start(b.ctx))
	defer func() { require.NoError(t, client.StopAndCancel(context.WithoutCancel(b.ctx))) }()
	args, opts := forgottenJob()
	res, err := client.Insert(b.ctx, args, opts)
	require.NoError(t, err)
	b.eventually("the look through the store", 30*time.Second, func() bool {
		got, err := client.JobGet(b.ctx, res.Job.ID)
		require.NoError(t, err)
		return got.State == rivertype.JobStateDiscarded
	})
	require.Equal(t, []string{"a/u/s/0/manifest.json", "a/u/s/0/site/x"}, b.keys())
	require.Equal(t, 1, b.count("SELECT count(*) FROM {backup_forgotten} WHERE prefix = 'b' AND swept = 1"))
	require.Equal(t, 2, b.count("SELECT count(*) FROM {backup_forgotten} WHERE prefix = 'a' AND swept = 0"))
}

// Deletions that the workers have given up begin again with the next pass.
func TestRetentionRetriesDeletions(t *testing.T) {
	b := setup(t, tinyBackups(nil))
	b.work()
	id, other := b.start(), b.start()
	b.wait(id)
	b.wait(other)
	b.exec("UPDATE {backup} SET state = 'deleting', error = 'away', requested_at = NULL WHERE id = $1", id)
	b.retained(b.retain())
	b.requireGone(id)
	b.requireExact(other)
}
