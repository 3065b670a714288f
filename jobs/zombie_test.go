package jobs

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

// zombie is a backup whose worker process is stopped, and will be continued when
// others have gone on without it.
type zombie struct {
	*bundle
	id   string
	p    *process
	want [sha256.Size]byte
}

const zombieSize = 8 << 20

// newZombie starts a backup of one export, in a place, and the process that
// will be stopped.
func newZombie(t *testing.T, p place, c *child) *zombie {
	api := export.Options{Name: "site", Size: zombieSize}
	b := setup(t, setupOptions{store: func(t *testing.T) blob.Store { return p.put(t, c) }, apis: []export.Options{api}})
	z := &zombie{bundle: b, id: b.start(), want: export.SHA256(api, userID, siteID)}
	z.p = b.spawnChild(c)
	return z
}

// isStopped waits until the process is, and until nobody need wait for it.
func (z *zombie) isStopped() {
	z.Helper()
	z.eventually("the process to be stopped", 30*time.Second, func() bool { return stopped(z.p.Process.Pid) })
	z.abandoned()
}

// taken waits until another worker has made the backup without it.
func (z *zombie) taken() {
	z.Helper()
	ok := z.within(time.Minute, func() bool {
		// As an operator would in River UI: its scheduler looks every 5 seconds only.
		z.exec("UPDATE {river_job} SET state = 'available', scheduled_at = now() WHERE state = 'retryable'")
		got, err := z.client.Get(z.ctx, z.id)
		require.NoError(z, err)
		return got.State.Terminal()
	})
	require.True(z, ok, "the backup hangs\n%s", z.locks())
}

// continues lets the process go on until it has nothing to do any more, and end,
// and checks that it has changed nothing.
func (z *zombie) continues() {
	z.Helper()
	before, keys := z.ourRows(), z.keys()
	require.NoError(z, z.p.Process.Signal(syscall.SIGCONT))
	z.eventually("the process to have done what it was about", 30*time.Second, func() bool {
		_, idle := z.p.said.after("idle")
		return idle
	})
	require.NoError(z, z.p.input.Close())
	require.NoError(z, z.p.Wait(), "it ended as it should")
	_, err := z.client.Ledger().Reconcile(z.ctx, 100)
	require.NoError(z, err)
	require.Equal(z, before, z.ourRows(), "what was taken from it stays as it is")
	require.Equal(z, keys, z.keys())
}

// Worker processes are stopped anywhere, for longer than their lease. Others
// take over, and find nothing changed when the first go on.
func TestZombieAnywhere(t *testing.T) {
	t.Parallel()
	for i, p := range places() {
		random := seeded(t)
		for n := range envtest.Count([]int{3, 1}[i], []int{100, 20}[i]) {
			switch point := random.Int64N(zombieSize); n % 3 {
			case 0:
				t.Run(fmt.Sprintf("%s/%d bytes", p.name, point), func(t *testing.T) {
					z := newZombie(t, p, &child{})
					z.served("site", point)
					require.NoError(t, z.p.Process.Signal(syscall.SIGSTOP))
					z.others()
				})
			case 1:
				trip := 1 + random.Int64N(tripsOfOne)
				t.Run(fmt.Sprintf("%s/%d round trips", p.name, trip), func(t *testing.T) {
					z := newZombie(t, p, &child{StopAt: trip})
					z.others()
				})
			default:
				step := zombieSteps[random.IntN(len(zombieSteps))]
				t.Run(p.name+"/"+step, func(t *testing.T) {
					z := newZombie(t, p, &child{StopFor: step})
					z.others()
				})
			}
		}
	}
}

// zombieSteps are the steps behind which a process may be stopped, in their order.
var zombieSteps = []string{"plan", "gate", "commit", "task", "manifest", "seal"}

// tripsOfOne is about how many round trips to Postgres a worker process makes for
// one backup and its own start.
const tripsOfOne = 60

// others take over, and the process goes on.
func (z *zombie) others() {
	z.Helper()
	z.isStopped()
	where, _ := z.p.said.after("stops behind")
	z.Log("stopped behind", where)
	z.work()
	z.taken()
	z.riverKnows()
	z.requireOne(z.id, z.want)
	z.continues()
	z.requireOne(z.id, z.want)
	z.riverKnows()
}

// riverKnows waits until River's jobs have ended, too.
func (z *zombie) riverKnows() {
	z.Helper()
	ok := z.within(40*time.Second, func() bool {
		return z.count("SELECT count(*) FROM {river_job} WHERE kind ~ '^backup(_task_.*|_seal|_delete|_verify)?$' AND finalized_at IS NULL") == 0
	})
	require.True(z, ok, "River's jobs hang\n%s", z.locks())
}

// Somebody puts an object of another kind at the key while the zombie sleeps
// behind the gate: the task begins again under another name, and the zombie
// can't put its own there.
func TestZombieAndForeignObject(t *testing.T) {
	t.Parallel()
	for i, p := range places() {
		for n := range envtest.Count([]int{1, 0}[i], []int{50, 10}[i]) {
			t.Run(fmt.Sprint(p.name, n), func(t *testing.T) {
				z := newZombie(t, p, &child{StopFor: "gate"})
				z.isStopped()
				got, err := z.client.Get(z.ctx, z.id)
				require.NoError(t, err)
				key, foreign := got.Tasks[0].ObjectKey, []byte("somebody else's")
				require.NoError(t, blob.Put(z.ctx, z.store, key, foreign, "text/plain", nil))
				z.work()
				z.taken()
				z.requireCopy(z.wait(z.id))
				z.riverKnows()
				z.continues()
				got = z.wait(z.id)
				z.requireCopy(got)
				require.NotEqual(t, key, got.Tasks[0].ObjectKey)
				require.Equal(t, foreign, z.read(key))
				require.Len(t, z.keys(), 3, "the foreign one, ours, the manifest")
				z.requireSound()
			})
		}
	}
}

// The backup is canceled while the zombie sleeps: nothing of it appears.
func TestZombieOfCanceledBackup(t *testing.T) {
	t.Parallel()
	for i, p := range places() {
		random := seeded(t)
		for n := range envtest.Count([]int{2, 1}[i], []int{50, 10}[i]) {
			before := n%2 == 0
			point := random.Int64N(zombieSize / 2)
			t.Run(fmt.Sprintf("%s%d, before the gate %t", p.name, n, before), func(t *testing.T) {
				c := &child{StopFor: "gate"}
				switch {
				case n%4 == 0:
					c.StopFor = "" // while it reads
				case before:
					c.StopFor, c.StopBy = "", ".backup_part" // while it writes its journal
				}
				z := newZombie(t, p, c)
				if n%4 == 0 {
					z.served("site", point)
					require.NoError(t, z.p.Process.Signal(syscall.SIGSTOP))
				}
				z.isStopped()
				_, err := z.client.Cancel(z.ctx, z.id)
				require.NoError(t, err)
				z.work()
				z.taken()
				require.Equal(t, backup.StateCanceled, z.wait(z.id).State)
				z.continues()
				require.Zero(t, z.manifests())
				z.requireSound()
			})
		}
	}
}

// The backup is deleted, rows and objects, while the zombie sleeps: nothing of
// it comes again.
func TestZombieOfDeletedBackup(t *testing.T) {
	t.Parallel()
	steps := []string{"gate", "commit", "seal", "bytes"}
	for i, p := range places() {
		random := seeded(t)
		for n := range envtest.Count([]int{4, 0}[i], []int{100, 20}[i]) {
			step, point := steps[n%len(steps)], random.Int64N(zombieSize)
			t.Run(fmt.Sprint(p.name, n, " ", step), func(t *testing.T) {
				z := newZombie(t, p, &child{StopFor: step})
				if step == "bytes" {
					z.served("site", point)
					require.NoError(t, z.p.Process.Signal(syscall.SIGSTOP))
				}
				z.isStopped()
				z.work()
				z.taken()
				z.deleted()
				z.continues()
				require.Empty(t, z.keys())
				require.Empty(t, z.ourRows())
			})
		}
	}
}

// All that is the user's is erased while the zombie sleeps, a manifest already on its
// way to the store. When it goes on nobody else knows the place any more: it takes back
// what it wrote itself.
func TestZombieOfErasedUser(t *testing.T) {
	t.Parallel()
	for i, p := range places() {
		for n := range envtest.Count([]int{1, 1}[i], []int{50, 10}[i]) {
			t.Run(fmt.Sprint(p.name, n), func(t *testing.T) {
				z := newZombie(t, p, &child{StopIn: "/manifest"})
				z.isStopped()
				z.work()
				z.taken()
				e, err := z.client.Erase(z.ctx, backup.EraseParams{UserID: userID})
				require.NoError(t, err)
				require.EqualValues(t, 1, z.requireErased(e.ID).Backups)
				z.requireUnnamed(userID, z.id)
				z.continues()
				require.Empty(t, z.keys())
				z.requireUnnamed(userID, z.id)
			})
		}
	}
}

// deleted deletes all there is of the backup.
func (z *zombie) deleted() {
	z.Helper()
	z.riverKnows()
	z.exec("DELETE FROM {backup}")
	for _, key := range z.keys() {
		require.NoError(z, z.store.Delete(z.ctx, key))
	}
}

func (b *bundle) manifests() (n int) {
	for _, k := range b.keys() {
		if strings.Contains(k, "/manifest") {
			n++
		}
	}
	return n
}

// ourRows is all that is known of backups, without River's jobs.
func (b *bundle) ourRows() []string {
	b.Helper()
	var out bytes.Buffer
	for _, table := range []string{"backup", "backup_task", "backup_part", "backup_event"} {
		b.dump(&out, "SELECT to_jsonb(t)::text FROM {"+table+"} t ORDER BY 1")
	}
	return strings.FieldsFunc(out.String(), func(r rune) bool { return r == '\n' })
}
