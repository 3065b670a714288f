package jobs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/azureblob"
	"github.com/sitebackup/sitebackup/backup/blob/fileblob"
	"github.com/sitebackup/sitebackup/backup/httpexport"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
	"github.com/sitebackup/sitebackup/internal/envtest"
	"github.com/sitebackup/sitebackup/migrations"
)

const (
	userID = "658683afc91423af04d82152"
	siteID = "658683afc91423af04d82153"
)

// bundle is a client on a migrated schema, with a store and mock export APIs.
type bundle struct {
	*testing.T
	ctx    context.Context
	pool   *pgxpool.Pool
	schema string
	logger *slog.Logger
	store  blob.Store
	apis   map[string]*api
	client *backup.Client
}

// api is one export API, served over HTTP.
type api struct {
	options export.Options
	handler *export.Handler
	url     string
}

type setupOptions struct {
	store  func(t *testing.T) blob.Store
	apis   []export.Options
	config func(*backup.Config)
	alone  bool // in a database of its own, where nobody's open transaction keeps dead rows
}

func setup(t *testing.T, o setupOptions) *bundle {
	t.Helper()
	t.Parallel()
	b := &bundle{T: t, ctx: t.Context(), apis: make(map[string]*api)}
	b.logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	if b.pool, b.schema = envtest.Schema(t); o.alone {
		own, err := pgxpool.ParseConfig(envtest.EmptyDatabase(t))
		require.NoError(t, err)
		own.MaxConns = b.pool.Config().MaxConns
		b.pool, err = pgxpool.NewWithConfig(b.ctx, own)
		require.NoError(t, err)
		t.Cleanup(b.pool.Close)
	}
	_, err := migrations.Up(b.ctx, b.pool, &migrations.Config{Schema: b.schema, Logger: b.logger})
	require.NoError(t, err)
	if o.store == nil {
		o.store = fileStore
	}
	b.store = o.store(t)
	cfg := &backup.Config{Pool: b.pool, Schema: b.schema, Store: b.store, Logger: b.logger}
	for _, a := range o.apis {
		cfg.Providers = append(cfg.Providers, b.serve(a))
	}
	if o.config != nil {
		o.config(cfg)
	}
	b.client, err = backup.New(cfg)
	require.NoError(t, err)
	return b
}

func fileStore(t *testing.T) blob.Store {
	store, err := fileblob.New(t.TempDir(), nil)
	require.NoError(t, err)
	return store
}

func azureStore(t *testing.T) blob.Store {
	store, err := azureblob.New(envtest.AzuriteContainer(t), nil)
	require.NoError(t, err)
	return store
}

// serve starts an export API and returns the provider that reads it.
func (b *bundle) serve(o export.Options) backup.ProviderConfig {
	b.Helper()
	h := export.NewHandler(o)
	srv := httptest.NewServer(h)
	b.Cleanup(srv.Close)
	b.apis[o.Name] = &api{o, h, srv.URL + "/export/{userId}/{siteId}"}
	return provider(b.T, o.Name, b.apis[o.Name].url)
}

func provider(t *testing.T, name, url string) backup.ProviderConfig {
	t.Helper()
	p, err := httpexport.New(&httpexport.Config{URL: url})
	require.NoError(t, err)
	return backup.ProviderConfig{Name: name, Provider: p, StallTimeout: 5 * time.Second}
}

// testConfig makes attempts follow each other quickly.
func testConfig() *Config {
	return &Config{PartSize: 64 << 10, LeaseDuration: 5 * time.Second, JournalInterval: 50 * time.Millisecond, BufferBudget: 64 << 20, ControlWorkers: 16}
}

// work runs a River client with the workers until the test ends, or until the
// function it returns is called.
func (b *bundle) work(change ...func(*Config, *river.Config)) (stop func()) {
	b.Helper()
	client, _ := b.riverClient(change...)
	require.NoError(b, client.Start(b.ctx))
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), 30*time.Second)
		defer cancel()
		require.NoError(b, client.StopAndCancel(ctx))
	}
	b.Cleanup(stop)
	return stop
}

// unhurried leaves out River's rescuer, which takes a job for a dead worker's that is
// a second old and not claimed yet, as on a machine that does too much at once.
func unhurried(_ *Config, rc *river.Config) {
	rc.JobTimeout, rc.RescueStuckJobsAfter = 40*time.Second, 40*time.Second
}

func (b *bundle) riverClient(change ...func(*Config, *river.Config)) (*river.Client[pgx.Tx], *Workers) {
	b.Helper()
	cfg := testConfig()
	rc := &river.Config{
		Logger: b.logger, FetchCooldown: 5 * time.Millisecond, FetchPollInterval: 50 * time.Millisecond,
		// A dead worker's job is rescued as soon as its lease has ended.
		JobTimeout: time.Second, RescueStuckJobsAfter: time.Second,
	}
	for _, c := range change {
		c(cfg, rc)
	}
	w, err := New(b.client, cfg)
	require.NoError(b, err)
	require.NoError(b, w.Configure(rc))
	client, err := river.NewClient(riverpgxv5.New(b.pool), rc)
	require.NoError(b, err)
	return client, w
}

func (b *bundle) start(o ...func(*backup.StartParams)) string {
	b.Helper()
	p := backup.StartParams{UserID: userID, SiteID: siteID}
	for _, f := range o {
		f(&p)
	}
	got, err := b.client.Start(b.ctx, p)
	require.NoError(b, err)
	return got.ID
}

// eventually waits for something that other processes do in the database.
func (b *bundle) eventually(what string, limit time.Duration, ok func() bool) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			b.Fatalf("waited %s in vain for: %s", limit, what)
		}
	}
}

// wait waits until the backup has ended, and returns it.
func (b *bundle) wait(id string) (got *backup.Backup) {
	b.Helper()
	b.waitFor(id, time.Minute, func(now *backup.Backup) bool { got = now; return now.State.Terminal() })
	return got
}

func (b *bundle) waitFor(id string, limit time.Duration, ok func(*backup.Backup) bool) {
	b.Helper()
	b.eventually("backup "+id, limit, func() bool {
		got, err := b.client.Get(b.ctx, id)
		require.NoError(b, err)
		return ok(got)
	})
}

func (b *bundle) exec(query string, args ...any) {
	b.Helper()
	_, err := b.pool.Exec(b.ctx, b.in(query), args...)
	require.NoError(b, err)
}

func (b *bundle) count(query string, args ...any) (n int) {
	b.Helper()
	require.NoError(b, b.pool.QueryRow(b.ctx, b.in(query), args...).Scan(&n))
	return n
}

// in turns {backup_task} into "schema".backup_task.
func (b *bundle) in(query string) string {
	return strings.NewReplacer("{", pgx.Identifier{b.schema}.Sanitize()+".", "}", "").Replace(query)
}

func (b *bundle) read(key string) []byte {
	b.Helper()
	r, err := b.store.Open(b.ctx, key, 0, -1)
	require.NoError(b, err)
	defer r.Close()
	data, err := io.ReadAll(r)
	require.NoError(b, err)
	return data
}

// requireCopy checks a done backup against the store and the sources.
func (b *bundle) requireCopy(got *backup.Backup) *backup.Manifest {
	b.Helper()
	require.Equal(b, backup.StateDone, got.State, "%+v", got.Failure)
	var m backup.Manifest
	require.NoError(b, json.Unmarshal(b.read(got.ManifestKey), &m))
	require.Equal(b, got.ID, m.BackupID)
	require.Len(b, m.Objects, len(got.Tasks))
	for i, o := range m.Objects {
		require.Equal(b, got.Tasks[i].ObjectKey, o.Key)
		b.requireObject(o)
	}
	return &m
}

func (b *bundle) requireObject(o backup.ManifestObject) {
	b.Helper()
	data := b.read(o.Key)
	require.EqualValues(b, o.Size, len(data))
	sum := sha256.Sum256(data)
	require.Equal(b, o.SHA256, hexString(sum[:]))
	if a := b.apis[o.Provider]; a != nil {
		require.Equal(b, export.SHA256(a.options, userID, siteID), sum, "the object is what the source serves")
	}
}

func hexString(b []byte) string {
	var sb strings.Builder
	for _, c := range b {
		const hex = "0123456789abcdef"
		sb.Write([]byte{hex[c>>4], hex[c&15]})
	}
	return sb.String()
}

// keys lists what is in view in the store.
func (b *bundle) keys() (keys []string) {
	b.Helper()
	for o, err := range b.store.List(b.ctx, "") {
		require.NoError(b, err)
		keys = append(keys, o.Key)
	}
	return keys
}

// requireSound checks what must hold of every row once nothing runs.
func (b *bundle) requireSound() {
	b.Helper()
	require.Zero(b, b.count(`SELECT count(*) FROM {backup} b WHERE open_tasks <>
		(SELECT count(*) FROM {backup_task} t WHERE t.backup_id = b.id AND t.state IN ('pending', 'running', 'committing'))`), "open_tasks is exact")
	require.Zero(b, b.count(`SELECT count(*) FROM {backup} b WHERE pruned_at IS NULL AND event_seq <>
		(SELECT count(*) FROM {backup_event} e WHERE e.backup_id = b.id)`), "events have no gaps")
	require.Zero(b, b.count(`SELECT count(*) FROM {backup_task} WHERE lease_token IS NOT NULL AND state IN ('pending', 'done', 'failed', 'canceled')`))
}

// tiny is a provider whose exports are a few bytes, made on the spot.
type tiny struct{}

func (tiny) Export(_ context.Context, req *backup.ExportRequest) (*backup.Export, error) {
	data := []byte(req.Provider + " of " + req.BackupID)
	return &backup.Export{Body: io.NopCloser(bytes.NewReader(data)), Size: int64(len(data)), ContentType: "text/plain"}, nil
}

// withToken is a client whose provider sends a bearer token to the site API.
func (b *bundle) withToken(token string) *backup.Client {
	b.Helper()
	p, err := httpexport.New(&httpexport.Config{
		URL: b.apis["site"].url,
		Authorize: func(_ context.Context, r *http.Request, _ *backup.ExportRequest) error {
			r.Header.Set("Authorization", "Bearer "+token)
			return nil
		},
	})
	require.NoError(b, err)
	c, err := backup.New(&backup.Config{
		Pool: b.pool, Schema: b.schema, Store: b.store, Logger: b.logger,
		Providers: []backup.ProviderConfig{{Name: "site", Provider: p}},
	})
	require.NoError(b, err)
	return c
}
