package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/httpapi"
	"github.com/sitebackup/sitebackup/internal/envtest"
	"github.com/sitebackup/sitebackup/migrations"
)

func TestMain(m *testing.M) {
	if os.Getenv(serverSchema) == "" {
		envtest.Main(m)
		return
	}
	if err := serveHere(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// bundle is a running server and what is behind it.
type bundle struct {
	client *backup.Client
	pool   *pgxpool.Pool
	schema string
	url    string
	token  string // that requests are sent with, if any
	log    *logBuffer
	idle   func() // stops the workers, if there are any
}

// as sends its requests with another token.
func (b *bundle) as(token string) *bundle {
	other := *b
	other.token = token
	return &other
}

type settings struct {
	pool    *pgxpool.Pool // another than the test's own
	options httpapi.Options
	raw     bool // leave the schema without tables
	store   blob.Store
	exports map[string]*source // by provider; there are workers, too
	watch   bool               // run a watcher
	now     func() time.Time   // the clock of schedules

	smallBuffers bool // of the connections, so that a client that doesn't read is noticed soon
}

// setup serves the API from a real listener, with a schema of its own.
func setup(t testing.TB, s settings) *bundle {
	t.Helper()
	b := &bundle{log: &logBuffer{}}
	b.pool, b.schema = envtest.Schema(t)
	logger := slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if !s.raw {
		_, err := migrations.Up(t.Context(), b.pool, &migrations.Config{Schema: b.schema, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
	}
	if s.pool == nil {
		s.pool = b.pool
	}
	providers := []backup.ProviderConfig{{Name: "site"}, {Name: "db"}}
	if s.exports != nil {
		providers = nil
		for name, e := range s.exports {
			providers = append(providers, backup.ProviderConfig{Name: name, Provider: e})
		}
	}
	var err error
	b.client, err = backup.New(&backup.Config{Pool: s.pool, Schema: b.schema, Store: s.store, Logger: logger, Providers: providers, Now: s.now})
	require.NoError(t, err)
	if s.exports != nil {
		b.work(t)
	}
	s.options.Version = "1.2.3"
	if s.watch {
		s.options.Watcher = b.watch(t)
	}
	handler, err := httpapi.NewHandler(b.client, &s.options)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(handler)
	if s.smallBuffers {
		server.Listener = smallBuffers{server.Listener}
	}
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		if t.Failed() {
			t.Log(b.log.String())
		}
	})
	b.url = server.URL
	return b
}

// watch runs a watcher until the test ends. It learns of nothing by itself: what a
// test waits for has to come by notification.
func (b *bundle) watch(t testing.TB) *backup.Watcher {
	t.Helper()
	w, err := b.client.NewWatcher(&backup.WatcherConfig{PollInterval: time.Hour})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = w.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return w
}

// smallBuffers is a listener whose connections keep little of what is sent.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(4096)
	}
	return conn, err
}

// unreachable is a pool whose server isn't there.
func unreachable(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), "postgres://somebody:hunter2@127.0.0.1:1/nothing")
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func (b *bundle) exec(t testing.TB, sql string, args pgx.NamedArgs) {
	t.Helper()
	_, err := b.pool.Exec(t.Context(), strings.ReplaceAll(sql, "{{schema}}", b.schema), args)
	require.NoError(t, err)
}

// answer is a response that was read.
type answer struct {
	*http.Response
	body []byte
}

func (b *bundle) do(t testing.TB, method, path, contentType string, body io.Reader) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, body)
	require.NoError(t, err)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if b.token != "" {
		req.Header.Set("Authorization", "Bearer "+b.token)
	}
	return send(t, req)
}

func (b *bundle) get(t testing.TB, path string) answer {
	t.Helper()
	return b.do(t, http.MethodGet, path, "", nil)
}

func (b *bundle) post(t testing.TB, body string) answer {
	t.Helper()
	return b.do(t, http.MethodPost, "/backup", "application/json", strings.NewReader(body))
}

var client = &http.Client{
	Transport:     declared{http.DefaultTransport},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func send(t testing.TB, req *http.Request) answer {
	t.Helper()
	res, err := client.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	require.NoError(t, err)
	return answer{Response: res, body: data}
}

func decode[T any](t testing.TB, a answer) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal(a.body, &v), "%s", a.body)
	return v
}

// requireProblem checks that the answer is a problem document as promised.
func requireProblem(t testing.TB, a answer, status int, code httpapi.Code) httpapi.Problem {
	t.Helper()
	require.Equal(t, status, a.StatusCode, "%s", a.body)
	require.Equal(t, "application/problem+json", a.Header.Get("Content-Type"))
	p := decode[httpapi.Problem](t, a)
	require.Equal(t, code, p.Code)
	require.Equal(t, status, p.Status)
	require.Equal(t, http.StatusText(status), p.Title)
	require.NotEmpty(t, p.Detail)
	require.Equal(t, a.Header.Get("X-Request-Id"), p.RequestID)
	require.NotEmpty(t, p.RequestID)
	return p
}

// logBuffer is written by the server's goroutines and read by the test.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// checkedStore is a destination of which only Check is asked.
type checkedStore struct {
	blob.Store
	check func(context.Context) error
}

func (s checkedStore) Check(ctx context.Context) error { return s.check(ctx) }

// eventually waits until fn says that it is so.
func eventually(t testing.TB, fn func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !fn() {
		select {
		case <-tick.C:
		case <-late:
			require.Fail(t, "not in time")
		}
	}
}
