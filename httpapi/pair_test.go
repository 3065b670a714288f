package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi"
	"github.com/sitebackup/sitebackup/internal/memblob"
)

const (
	alice = "alice"
	// bobMark is in everything that is bob's, and in nothing of alice's.
	bobMark = "b0bsS3cr3t"
	bob     = "bob-" + bobMark
)

// pair is a server with two tenants who have the same of everything: sites,
// providers, labels, idempotency keys, and backups in each state. All differs by
// whose it is alone, and what is bob's bears his mark.
type pair struct {
	*bundle
	store   *memblob.Store
	secrets map[string]string // by the token's name
	alice   *tenant
	bob     *tenant
	hold    chan struct{} // exports of the site "slow" wait for it to be closed
}

// tenant is one of them.
type tenant struct {
	*bundle // with a token for this tenant alone

	done, failed, canceled, running string // backups' ids

	schedules []string // ids: one that has started failed, and one that is paused
	corrupt   string   // a backup of which an object is damaged
	erasures  []string // ids: one that is under way, of a site that there isn't otherwise
}

// ids are those of the tenant's backups.
func (n *tenant) ids() []string { return []string{n.done, n.failed, n.canceled, n.running, n.corrupt} }

// idsFor are those of what the operation's path names: schedules, erasures or backups.
func (n *tenant) idsFor(o op) []string {
	switch {
	case strings.HasPrefix(o.Path, "/schedule/"):
		return n.schedules
	case strings.HasPrefix(o.Path, "/erasure/"):
		return n.erasures
	}
	return n.ids()
}

// pairExports are by the tenant whose they are: of the site "broken" there is none,
// and that of "slow" waits.
func pairExports(hold <-chan struct{}) map[string]*source {
	export := func(ctx context.Context, req *backup.ExportRequest) ([]byte, error) {
		switch req.SiteID {
		case "broken":
			return nil, backup.Permanent(errors.New("no export for "+req.UserID), "ask "+req.UserID)
		case "slow":
			select {
			case <-hold:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		return bytes.Repeat([]byte("the "+req.Provider+" of "+req.UserID+"\n"), 8000), nil
	}
	return map[string]*source{
		"site": {exportOf: export, contentType: "application/x-tar"},
		"db":   {exportOf: export, contentType: "application/sql"},
	}
}

func setupPair(t testing.TB) *pair {
	t.Helper()
	const everything = readWrite | httpapi.ScopeAdmin
	options, secrets := authorize(t,
		httpapi.Token{Name: "all", Scopes: everything},
		httpapi.Token{Name: alice, Scopes: everything, Users: []string{"ali*"}},
		httpapi.Token{Name: "bob", Scopes: everything, Users: []string{"bob-*"}},
		httpapi.Token{Name: "reader", Scopes: httpapi.ScopeRead},
		httpapi.Token{Name: "writer", Scopes: httpapi.ScopeWrite},
		httpapi.Token{Name: "admin", Scopes: httpapi.ScopeAdmin})
	options.RateLimit = httpapi.RateLimit{PerSecond: 1e6, Burst: 1e6, FailuresPerMinute: 1e6}
	options.Hosts = []string{"backup.example.com"}
	p := &pair{store: memblob.New(), secrets: secrets, hold: make(chan struct{})}
	p.bundle = setup(t, settings{store: p.store, exports: pairExports(p.hold), options: options, watch: true}).as(secrets["all"])
	t.Cleanup(p.release)
	p.alice = &tenant{bundle: p.as(secrets[alice])}
	p.bob = &tenant{bundle: p.as(secrets["bob"])}
	p.alice.fill(t, alice)
	p.bob.fill(t, bob)
	return p
}

// release lets the exports of "slow" go on.
func (p *pair) release() {
	select {
	case <-p.hold:
	default:
		close(p.hold)
	}
}

// fill makes a tenant's backups.
func (n *tenant) fill(t testing.TB, user string) {
	t.Helper()
	begin := func(site string) string {
		body := `{"userId":"` + user + `","siteId":"` + site + `","labels":{"reason":"before upgrade","owner":"` + user + `"}}`
		a := n.postKey(t, body, "key of "+site)
		require.Equal(t, http.StatusAccepted, a.StatusCode, "%s", a.body)
		return decode[httpapi.Backup](t, a).ID
	}
	n.done, n.canceled = begin("s"), begin("slow")
	n.failed = n.schedule(t, user)
	var erasure string // whose job waits for an hour, so that it stays under way
	require.NoError(t, n.pool.QueryRow(t.Context(), "WITH r AS (SELECT gen_random_uuid() AS id), "+
		"j AS (INSERT INTO "+n.schema+".river_job (kind, args, max_attempts, queue, state, scheduled_at) "+
		"SELECT 'backup_erase', jsonb_build_object('erasure_id', r.id), 1, 'backup', 'scheduled', now() + interval '1 hour' FROM r RETURNING id) "+
		"INSERT INTO "+n.schema+".backup_erasure (id, user_id, site_id, whole_user, requested_at, river_job_id) "+
		"SELECT r.id, $1, 'gone', false, now(), j.id FROM r, j RETURNING id::text", user).Scan(&erasure))
	n.erasures = []string{erasure}
	mended, err := n.client.Ledger().MendErasures(t.Context(), 10)
	require.NoError(t, err)
	require.Zero(t, mended, "the reconciler would work on it")
	n.awaitStatus(t, n.done, "done")
	n.awaitStatus(t, n.failed, "failed")
	n.awaits(t, n.canceled, func(v httpapi.Backup) bool { return len(v.Tasks) > 0 })
	n.cancel(t, n.canceled)
	a := n.verb(t, http.MethodPost, n.done, "/hold", `{"reason":"the case of `+user+`"}`)
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.body)
	a = n.post(t, `{"userId":"`+user+`","siteId":"slow","ifActive":"join"}`)
	n.running = decode[httpapi.Backup](t, a).ID
	n.awaits(t, n.running, func(v httpapi.Backup) bool { return len(v.Tasks) > 0 })
	n.corrupt = begin("damaged")
	v := n.awaitStatus(t, n.corrupt, "done")
	store := n.client.Store()
	m, err := backup.ReadManifest(t.Context(), store, v.ManifestKey)
	require.NoError(t, err)
	require.NoError(t, store.Delete(t.Context(), m.Objects[0].Key))
	require.Equal(t, http.StatusAccepted, n.verb(t, http.MethodPost, n.corrupt, "/verify", "").StatusCode)
	n.awaits(t, n.corrupt, func(v httpapi.Backup) bool { return v.CorruptAt != nil })
}

// schedule makes a tenant's schedules, each of which had a slot: one was started as the
// backup whose id it returns, the other skipped.
func (n *tenant) schedule(t testing.TB, user string) (backupID string) {
	t.Helper()
	for _, members := range []string{`"siteId":"broken"`, `"siteId":"s","paused":true`} {
		s, _ := n.scheduled(t, `{"userId":"`+user+`","name":"nightly","cron":"@yearly","maxAge":"26h","retention":{"keepLast":7},"labels":{"owner":"`+user+`"},`+members+`}`)
		n.schedules = append(n.schedules, s.ID)
	}
	n.exec(t, `UPDATE {{schema}}.backup_schedule SET alert_at = now(), next_slot = now() - interval '1 hour', next_run_at = now() - interval '1 hour'
		WHERE id = ANY(@ids::uuid[])`, pgx.NamedArgs{"ids": n.schedules})
	n.tick(t)
	list := decode[httpapi.ScheduleSlotList](t, n.get(t, "/schedule/"+n.schedules[0]+"/slot"))
	require.NotEmpty(t, list.Slots)
	require.NotEmpty(t, list.Slots[0].BackupID)
	return list.Slots[0].BackupID
}

// marksOfBob are what must not be in an answer to alice.
func (p *pair) marksOfBob() []string {
	marks := []string{bobMark, p.secrets["bob"], httpapi.HashToken(p.secrets["bob"])}
	for _, id := range slices.Concat(p.bob.ids(), p.bob.schedules, p.bob.erasures) {
		marks = append(marks, id, strings.ReplaceAll(id, "-", ""))
	}
	return marks
}

// leaks is the first of the marks that the text has, or "".
func leaks(text string, marks []string) string {
	lower := strings.ToLower(text)
	for _, mark := range marks {
		if strings.Contains(lower, strings.ToLower(mark)) {
			return mark
		}
	}
	return ""
}
