package httpapi_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi"
)

// insertEvents writes events as another process does, and tells the watchers.
func (b *bundle) insertEvents(t testing.TB, id string, n int, padding int) {
	t.Helper()
	b.exec(t, `WITH u AS (UPDATE {{schema}}.backup SET event_seq = event_seq + @n WHERE id = @id RETURNING event_seq - @n AS seq)
		INSERT INTO {{schema}}.backup_event (backup_id, seq, name, provider, data)
		SELECT @id, u.seq + n, 'UpdatePartTask', 'site', jsonb_build_object('state', 'committing', 'receivedBytes', n, 'storedBytes', 0, 'storedParts', 0, 'more', repeat('x', @padding))
		FROM u, generate_series(1, @n::int) n`, pgx.NamedArgs{"id": id, "n": n, "padding": padding})
	b.exec(t, `SELECT pg_notify(@channel, @id)`, pgx.NamedArgs{"channel": b.schema + ".backup_event", "id": id})
}

func (b *bundle) startOne(t testing.TB) string {
	t.Helper()
	started, err := b.client.Start(t.Context(), backup.StartParams{UserID: "u", SiteID: "s"})
	require.NoError(t, err)
	return started.ID
}

func (b *bundle) cancel(t testing.TB, id string) {
	t.Helper()
	_, err := b.client.Cancel(t.Context(), id)
	require.NoError(t, err)
}

func (b *bundle) retry(t testing.TB, id string) {
	t.Helper()
	_, err := b.client.Retry(t.Context(), id)
	require.NoError(t, err)
}

func strictly[T any](t testing.TB, data string) (v T) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(data))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(&v), data)
	return v
}

func TestEvents(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{watch: true})
	id := b.startOne(t)
	s := b.follow(t, id, 0)
	first := s.read(t, 1)
	require.Equal(t, []string{"1 UploadJobCreated"}, names(first))
	require.InDelta(t, 2, s.retry.Seconds(), 1)
	created := strictly[httpapi.BackupEvent](t, first[0].data)
	require.WithinDuration(t, time.Now(), created.CreatedAt, time.Minute)
	created.CreatedAt = time.Time{}
	require.Equal(t, httpapi.BackupEvent{Seq: 1, Name: "UploadJobCreated", BackupID: id, Status: "pending", UserID: "u", SiteID: "s"}, created)

	b.insertEvents(t, id, 200, 0)
	for i, m := range s.read(t, 200) {
		require.Equal(t, int64(i+2), m.id)
		require.Equal(t, "UpdatePartTask", m.event)
		var e httpapi.TaskEvent
		require.NoError(t, json.Unmarshal([]byte(m.data), &e))
		require.Equal(t, m.id, e.Seq)
		require.Equal(t, "site", e.Provider)
		require.Equal(t, "running", e.Status, "committing is running to those who wait")
		require.Contains(t, m.data, `"more":`, "what this version doesn't know is passed on")
		require.NotContains(t, m.data, "committing")
	}
	b.cancel(t, id)
	last := s.rest(t)
	require.Equal(t, []string{"202 UpdateUploadJob", "0 end"}, names(last))
	require.Equal(t, "canceled", strictly[httpapi.BackupEvent](t, last[0].data).Status)
	require.Equal(t, httpapi.StreamEnd{Status: "canceled", LastEventID: 202}, strictly[httpapi.StreamEnd](t, last[1].data))

	require.Equal(t, []string{"202 UpdateUploadJob", "0 end"}, names(b.follow(t, id, 201).rest(t)))
	for _, seq := range []int64{202, 203, 1 << 60} {
		require.Equal(t, http.StatusNoContent, b.open(t, id, seq).res.StatusCode, "a browser stops")
	}
	b.retry(t, id)
	b.cancel(t, id)
	require.Equal(t, []string{"201 UpdatePartTask", "202 UpdateUploadJob", "203 UpdateUploadJob", "204 UpdateUploadJob", "0 end"},
		names(b.follow(t, id, 200).rest(t)), "a backup that was opened again ends at its last end")
}

// What the workers write has the members that the description has.
func TestEventsAreAsDescribed(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{watch: true})
	id := b.startOne(t)
	b.workAndCancel(t, id)
	var all []string
	for _, m := range b.follow(t, id, 0).rest(t) {
		all = append(all, m.event+" "+m.state(t))
		switch m.event {
		case "UpdateTask", "UpdatePartTask":
			require.NotEmpty(t, strictly[httpapi.TaskEvent](t, m.data).Provider)
		case "end":
			strictly[httpapi.StreamEnd](t, m.data)
		default:
			strictly[httpapi.BackupEvent](t, m.data)
		}
	}
	require.Equal(t, []string{
		"UploadJobCreated pending", "UpdateTask pending", "UpdateUploadJob running", "UpdateTask running", "UpdatePartTask running",
		"UpdateTask canceled", "UpdateUploadJob canceled", "end canceled",
	}, all)
}

func TestEventsFromWhere(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{watch: true})
	id := b.startOne(t)
	b.cancel(t, id)
	require.Contains(t, string(b.get(t, "/backup/"+id+"/events?lastEventId=1").body), "id: 2\n")
	require.NotContains(t, string(b.get(t, "/backup/"+id+"/events?lastEventId=1").body), "id: 1\n")
	require.Equal(t, http.StatusNoContent, b.get(t, "/backup/"+id+"/events?lastEventId=2").StatusCode)
	for _, bad := range []string{"x", "-1", "1.5", "0x1", "9223372036854775808", "%20"} {
		p := requireProblem(t, b.get(t, "/backup/"+id+"/events?lastEventId="+bad), 422, httpapi.CodeValidationFailed)
		require.Equal(t, "query.lastEventId", p.Errors[0].Location)
	}
	ask := func(header string) answer {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/backup/"+id+"/events?lastEventId=1", nil)
		require.NoError(t, err)
		req.Header.Set("Last-Event-ID", header)
		return send(t, req)
	}
	require.Equal(t, http.StatusNoContent, ask("2").StatusCode, "the header is newer")
	require.Equal(t, "header.Last-Event-ID", requireProblem(t, ask("x"), 422, httpapi.CodeValidationFailed).Errors[0].Location)
	requireProblem(t, b.get(t, "/backup/x/events"), 404, httpapi.CodeNotFound)

	head := b.do(t, http.MethodHead, "/backup/"+b.startOne(t)+"/events", "", nil)
	require.Equal(t, http.StatusOK, head.StatusCode, "and it doesn't last")
}

func TestEventsOfOthersAreNotFound(t *testing.T) {
	t.Parallel()
	options, secrets := authorize(t, httpapi.Token{Name: "u", Scopes: httpapi.ScopeRead, Users: []string{"u"}},
		httpapi.Token{Name: "v", Scopes: httpapi.ScopeRead, Users: []string{"v"}}, httpapi.Token{Name: "w", Scopes: httpapi.ScopeWrite})
	b := setup(t, settings{options: options, watch: true})
	id := b.startOne(t)
	b.cancel(t, id)
	path := "/backup/" + id + "/events"
	requireProblem(t, b.get(t, path), 401, httpapi.CodeUnauthenticated)
	requireProblem(t, b.as(secrets["v"]).get(t, path), 404, httpapi.CodeNotFound)
	requireProblem(t, b.as(secrets["w"]).get(t, path), 403, httpapi.CodeForbidden)
	requireProblem(t, b.as(secrets["v"]).get(t, "/backup/"+id+"?wait=1s"), 404, httpapi.CodeNotFound)
	require.Len(t, b.as(secrets["u"]).follow(t, id, 0).rest(t), 3)
}

func TestEventsEndWithTheBackup(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{watch: true})
	id := b.startOne(t)
	s := b.follow(t, id, 0)
	s.read(t, 1)
	b.exec(t, "DELETE FROM {{schema}}.backup WHERE id = @id", pgx.NamedArgs{"id": id})
	b.exec(t, "SELECT pg_notify(@channel, '')", pgx.NamedArgs{"channel": b.schema + ".backup_event"})
	require.Equal(t, httpapi.StreamEnd{Status: "deleted", LastEventID: 1}, strictly[httpapi.StreamEnd](t, s.rest(t)[0].data))
	require.Equal(t, http.StatusNotFound, b.open(t, id, 1).res.StatusCode)
}

func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{watch: true, options: httpapi.Options{Streams: httpapi.Streams{Max: 1}}})
	id := b.startOne(t)
	s := b.follow(t, id, 0)
	s.read(t, 1)
	a := b.get(t, "/backup/"+id+"/events")
	requireProblem(t, a, 503, httpapi.CodeOverloaded)
	require.NotEmpty(t, a.Header.Get("Retry-After"))
	status := b.get(t, "/backup/"+id)
	require.Equal(t, http.StatusNotModified, b.poll(t, id, status.Header.Get("ETag"), "60s").StatusCode, "at once")
	s.stop()
	eventually(t, func() bool { return b.open(t, id, 0).res.StatusCode == http.StatusOK })
}

func TestEventsHaveHeartbeats(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{watch: true, options: httpapi.Options{Streams: httpapi.Streams{Heartbeat: 10 * time.Millisecond}}})
	id := b.startOne(t)
	s := b.follow(t, id, 0)
	s.read(t, 1)
	for range 5 {
		line, err := s.lines.ReadString('\n')
		require.NoError(t, err)
		require.Contains(t, []string{":\n", "\n"}, line)
	}
	b.cancel(t, id)
	require.Equal(t, []string{"2 UpdateUploadJob", "0 end"}, names(s.rest(t)))
}

// A client that doesn't read is dropped, and holds up nobody.
func TestEventsDropSlowClients(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{watch: true, smallBuffers: true, options: httpapi.Options{Streams: httpapi.Streams{WriteTimeout: 300 * time.Millisecond}}})
	id := b.startOne(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4096))
	_, err = conn.Write([]byte("GET /backup/" + id + "/events HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-Id: slow\r\n\r\n"))
	require.NoError(t, err)
	fast := b.follow(t, id, 0)
	fast.read(t, 1)
	dropped := func() bool { return strings.Contains(b.log.String(), "msg=request requestId=slow") }
	for range 12 {
		b.insertEvents(t, id, 10, 20_000)
		fast.read(t, 10)
	}
	eventually(t, dropped)
	b.cancel(t, id)
	require.Len(t, fast.rest(t), 2)
}

// A server that stops ends its streams as they should end, so that a client which
// comes again, here to another server, misses nothing.
func TestEventsEndWithTheServer(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	id := b.startOne(t)
	first, stop := b.serve(t)
	second, _ := b.serve(t)
	s := first.follow(t, id, 0)
	s.read(t, 1)
	etag := first.get(t, "/backup/"+id).Header.Get("ETag")
	answers := make(chan answer, 1)
	go func() { answers <- first.poll(t, id, etag, "60s") }()
	requireWaiting(t, answers)
	stop()
	require.Equal(t, http.StatusNotModified, (<-answers).StatusCode)
	require.Empty(t, s.rest(t))
	b.insertEvents(t, id, 3, 0)
	require.Equal(t, []string{"2 UpdatePartTask", "3 UpdatePartTask", "4 UpdatePartTask"}, names(second.follow(t, id, 1).read(t, 3)))
}

// serve serves the API once more, as a program does, until stop.
func (b *bundle) serve(t testing.TB) (served *bundle, stop func()) {
	t.Helper()
	w, err := b.client.NewWatcher(nil)
	require.NoError(t, err)
	handler, err := httpapi.NewHandler(b.client, &httpapi.Options{Watcher: w})
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	running, cancel := context.WithCancel(t.Context())
	server.Config.RegisterOnShutdown(cancel)
	var watching sync.WaitGroup
	watching.Go(func() { _ = w.Run(running) })
	stop = sync.OnceFunc(func() {
		ending, done := context.WithTimeout(context.Background(), 10*time.Second)
		defer done()
		require.NoError(t, server.Config.Shutdown(ending))
		watching.Wait()
		server.Close()
	})
	t.Cleanup(stop)
	other := *b
	other.url = server.URL
	return &other, stop
}

// Without a watcher each stream looks by itself.
func TestEventsWithoutWatcher(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	id := b.startOne(t)
	s := b.follow(t, id, 0)
	s.read(t, 1)
	b.cancel(t, id)
	require.Equal(t, []string{"2 UpdateUploadJob", "0 end"}, names(s.rest(t)))
}
