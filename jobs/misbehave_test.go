package jobs

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/httpexport"
)

// misbehavior is a source that misbehaves, and what becomes of a backup of it.
type misbehavior struct {
	name     string
	answers  []answer // to its requests in order; the last one to all further ones
	url      string   // of a source of its own instead
	http     func(*httpexport.Config)
	provider func(*backup.ProviderConfig)

	attempts int          // how many there are, and may be; 0: one
	asked    []string     // the Range of each request; nil: of one request, none
	again    int64        // how many bytes the source sent more than the export has
	proof    backup.Proof // of a task that is done; empty: it fails
	content  []byte       // what is stored then; nil: the export
	class    backup.Class // of the failure
	message  string
	unasked  bool // asked and again are not looked at
}

// answer answers a request.
type answer func(w *sender, r *http.Request)

// sender counts what an answer sends of an export.
type sender struct {
	http.ResponseWriter
	site *misbehavingSite
}

func (s *sender) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *sender) Write(p []byte) (int, error) {
	n, err := s.ResponseWriter.Write(p)
	s.site.mu.Lock()
	defer s.site.mu.Unlock()
	s.site.sent += int64(n)
	return n, err
}

// misbehavingSite is what one source saw.
type misbehavingSite struct {
	mu     sync.Mutex
	ranges []string
	sent   int64 // bytes of bodies
}

func (s *misbehavingSite) serve(answers []answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		n := len(s.ranges)
		s.ranges = append(s.ranges, strings.TrimSpace(r.Header.Get("Range")+" "+r.Header.Get("If-Range")))
		s.mu.Unlock()
		answers[min(n, len(answers)-1)](&sender{w, s}, r)
	}
}

// misbehavingSize is the length of the exports in these tests, more than four
// parts.
const misbehavingSize = 300_000

// original is what they hold.
func original() []byte { return noise()[:misbehavingSize] }

// Sources misbehave in many ways: what becomes of the backup, what proves it,
// and what is read again for it.
func TestMisbehavingSources(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			http.Error(w, "the credential came to another host", http.StatusTeapot)
			return
		}
		whole()(&sender{w, &misbehavingSite{}}, r)
	}))
	t.Cleanup(other.Close)
	rows := slices.Concat(bodyRows(), digestRows(), longRows(t), resumeRows(), startOverRows(), redirectRows(other.URL), pagedRows())

	mux := http.NewServeMux()
	sites := make(map[string]*misbehavingSite)
	for _, r := range rows {
		sites[r.name] = new(misbehavingSite)
		mux.Handle("/"+r.name+"/", sites[r.name].serve(r.answers))
	}
	source := httptest.NewServer(mux)
	t.Cleanup(source.Close)

	b := setup(t, setupOptions{config: func(c *backup.Config) {
		for _, r := range rows {
			c.Providers = append(c.Providers, r.configure(t, source.URL))
		}
	}})
	b.work(func(c *Config, _ *river.Config) { c.LeaseDuration = 30 * time.Second })
	params := make([]backup.StartParams, len(rows))
	for i, r := range rows {
		params[i] = backup.StartParams{UserID: userID, SiteID: siteID, Providers: []string{r.name}}
	}
	started, err := b.client.StartMany(b.ctx, params)
	require.NoError(t, err)
	b.eventually("all backups to end", 2*time.Minute, func() bool {
		return b.count("SELECT count(*) FROM {backup} WHERE state IN ('done', 'failed', 'canceled')") == len(rows)
	})

	var inView []string
	for i, r := range rows {
		got, err := b.client.Get(b.ctx, started[i].ID)
		require.NoError(t, err)
		if got.State == backup.StateDone {
			inView = append(inView, got.Tasks[0].ObjectKey, got.ManifestKey)
		}
		t.Run(r.name, func(t *testing.T) {
			one := *b
			one.T = t
			one.requireMisbehavior(r, got, sites[r.name])
		})
	}
	require.ElementsMatch(t, inView, b.keys(), "nothing else is in view")
	b.requireSound()
}

func (r *misbehavior) configure(t *testing.T, source string) backup.ProviderConfig {
	t.Helper()
	cfg := &httpexport.Config{URL: source + "/" + r.name + "/{userId}/{siteId}"}
	if r.url != "" {
		cfg.URL = r.url
	}
	if r.http != nil {
		r.http(cfg)
	}
	p, err := httpexport.New(cfg)
	require.NoError(t, err)
	t.Cleanup(p.CloseIdleConnections)
	c := backup.ProviderConfig{Name: r.name, Provider: p, MaxAttempts: max(r.attempts, 1)}
	if r.provider != nil {
		r.provider(&c)
	}
	return c
}

func (b *bundle) requireMisbehavior(r misbehavior, got *backup.Backup, site *misbehavingSite) {
	b.Helper()
	require.Len(b, got.Tasks, 1)
	task := got.Tasks[0]
	require.Equal(b, max(r.attempts, 1), task.Attempt, "%+v", task.Failure)
	want := r.content
	if want == nil {
		want = original()
	}
	if r.proof == "" {
		require.Equal(b, backup.StateFailed, got.State)
		require.Equal(b, r.class, task.Failure.Class, "%+v", task.Failure)
		require.Contains(b, task.Failure.Message, r.message)
		require.NotEmpty(b, task.Failure.Hint)
		require.Equal(b, r.name+": "+task.Failure.Message, got.Failure.Message)
	} else {
		m := b.requireCopy(got)
		require.Equal(b, sha256.Sum256(want), [sha256.Size]byte(task.SHA256))
		require.Equal(b, r.proof, task.Proof, "in the task")
		require.Equal(b, r.proof, m.Objects[0].Proof, "in the manifest")
		require.Equal(b, r.proof, b.eventOf(got.ID).Proof, "in the event")
	}
	if r.unasked {
		return
	}
	if r.asked == nil {
		r.asked = []string{""}
	}
	site.mu.Lock()
	defer site.mu.Unlock()
	require.Equal(b, r.asked, site.ranges)
	if r.proof != "" {
		require.Equal(b, r.again, site.sent-int64(len(want)), "bytes read again")
	}
}

// eventOf is what the event of a done task says.
func (b *bundle) eventOf(id string) (data struct {
	State backup.TaskState
	Proof backup.Proof
},
) {
	b.Helper()
	events, err := b.client.Events(b.ctx, id, 0, 1000)
	require.NoError(b, err)
	for _, e := range events {
		if e.Name == backup.EventUpdateTask {
			require.NoError(b, json.Unmarshal(e.Data, &data))
		}
	}
	require.Equal(b, backup.TaskDone, data.State)
	return data
}
