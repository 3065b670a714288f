package jobs

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// put makes an object, or only stages it.
func (b *bundle) put(key string, commit bool) {
	b.Helper()
	data := []byte("left over")
	part := blob.Part{Size: int64(len(data)), CRC64: blob.Checksum(data)}
	require.NoError(b, b.store.StagePart(b.ctx, key, part, data))
	if commit {
		require.NoError(b, b.store.Commit(b.ctx, key, []blob.Part{part}, blob.Info{}))
	}
}

// requireGone waits until the backup is deleted.
func (b *bundle) requireGone(id string) {
	b.Helper()
	b.eventually("the backup to be gone", 30*time.Second, func() bool {
		_, err := b.client.Get(b.ctx, id)
		return errors.Is(err, backup.ErrNotFound)
	})
}

// Everything that was ever the backup's goes, and nothing else.
func TestDelete(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]func(*testing.T) blob.Store{"fileblob": fileStore, "azureblob": azureStore} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, setupOptions{store: store, apis: siteAndDB(100 << 10)})
			b.work()
			id, other := b.start(), b.start()
			b.requireCopy(b.wait(id))
			kept := b.requireCopy(b.wait(other))
			prefix := userID + "/" + siteID + "/" + id + "/"
			b.put(prefix+"site/an-earlier-upload", true)
			b.put(prefix+"manifest-2.json", true)
			staged := prefix + "site/staged-only"
			b.put(staged, false)
			b.exec("UPDATE {backup_task} SET object_key = $2 WHERE backup_id = $1 AND provider = 'site'", id, staged)
			neighbor := userID + "/" + siteID + "/" + id + "0/x"
			b.put(neighbor, true)

			_, err := b.client.Delete(b.ctx, id)
			require.NoError(t, err)
			b.requireGone(id)
			require.ElementsMatch(t, []string{neighbor, kept.Objects[0].Key, kept.Objects[1].Key, prefixOf(other) + "manifest.json"}, b.keys())
			if name == "fileblob" {
				parts, err := b.store.StagedParts(b.ctx, staged)
				require.NoError(t, err)
				require.Empty(t, parts)
			}
			b.eventually("River's job to end", 10*time.Second, func() bool {
				return b.count("SELECT count(*) FROM {river_job} WHERE kind = 'backup_delete' AND state = 'completed' AND (metadata->'output'->>'objects')::int = 5") == 1
			})
			b.requireCopy(b.wait(other))
		})
	}
}

func prefixOf(id string) string { return userID + "/" + siteID + "/" + id + "/" }

// recorder notes what was deleted, in order, and fails as it is told.
type recorder struct {
	blob.Store
	deleted []string
	fail    func(key string) error
}

func (r *recorder) Delete(ctx context.Context, key string) error {
	if err := r.fail(key); err != nil {
		return err
	}
	r.deleted = append(r.deleted, key)
	return r.Store.Delete(ctx, key)
}

// The manifest goes first and the rows last, also where the store refuses for a
// while.
func TestDeleteOrder(t *testing.T) {
	failures := 1
	var b *bundle
	var rec *recorder
	b = setup(t, setupOptions{apis: siteAndDB(1000), store: func(t *testing.T) blob.Store {
		rec = &recorder{Store: fileStore(t), fail: func(key string) error {
			if bytes.Contains([]byte(key), []byte("/site/")) && failures > 0 {
				failures--
				return errors.New("the store is busy")
			}
			return nil
		}}
		return rec
	}})
	stop := b.work()
	id := b.start()
	m := b.requireCopy(b.wait(id))
	_, err := b.client.Delete(b.ctx, id)
	require.NoError(t, err)
	b.waitFor(id, 20*time.Second, func(now *backup.Backup) bool { return now.Failure != nil })
	got, err := b.client.Get(b.ctx, id)
	require.NoError(t, err)
	require.Contains(t, got.Failure.Message, "the store is busy")
	require.Len(t, b.keys(), 1)
	b.requireGone(id)
	stop()
	require.Equal(t, []string{prefixOf(id) + "manifest.json", m.Objects[0].Key, m.Objects[1].Key}, rec.deleted[:3], "behind them the keys of the rows, for what an attempt that was cut off may have left")
	require.Empty(t, b.keys())
}

// The deletion is interrupted behind each of its steps: the process is killed.
// The next one goes on, and nothing is left behind.
func TestDeleteKilledBehindEachStep(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"delete claim", "delete one manifest", "delete manifest", "delete one object", "delete objects", "delete rows"} {
		t.Run(step, func(t *testing.T) {
			dir := t.TempDir()
			b := setup(t, setupOptions{store: fileStoreIn(dir), apis: siteAndDB(100 << 10)})
			stop := b.work()
			id := b.start()
			b.requireCopy(b.wait(id))
			stop()
			_, err := b.client.Delete(b.ctx, id)
			require.NoError(t, err)
			b.requireKilled(b.spawn(dir, step))
			got, err := b.client.Get(b.ctx, id)
			if step == "delete rows" {
				require.ErrorIs(t, err, backup.ErrNotFound)
			} else {
				require.NoError(t, err)
				require.Equal(t, backup.StateDeleting, got.State)
				events, err := b.client.Events(b.ctx, id, 0, 1000)
				require.NoError(t, err)
				require.JSONEq(t, `{"state":"deleting"}`, string(events[len(events)-1].Data))
			}
			b.abandoned()
			b.work()
			b.requireGone(id)
			b.eventually("River's job to end", 20*time.Second, func() bool {
				return b.count("SELECT count(*) FROM {river_job} WHERE kind = 'backup_delete' AND state = 'completed'") == 1
			})
			require.Empty(t, b.keys())
			require.Empty(t, files(t, dir), "nothing is on the disk")
			for _, table := range []string{"backup", "backup_task", "backup_part", "backup_event", "backup_slot"} {
				require.Zero(t, b.count("SELECT count(*) FROM {"+table+"}"), table)
			}
		})
	}
}

// files are the files below dir but for the locks.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "lock" {
			names = append(names, name)
		}
		return err
	}))
	return names
}
