package main_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
	"github.com/sitebackup/sitebackup/internal/env"
)

// slowSource sends the first half of an export and waits with the other one.
func slowSource(t testing.TB) (url string, asked <-chan struct{}, release func()) {
	t.Helper()
	first, held := make(chan struct{}, 100), make(chan struct{})
	release = sync.OnceFunc(func() { close(held) })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "8")
		if r.Method == http.MethodHead {
			return
		}
		_, _ = w.Write([]byte("half"))
		_ = http.NewResponseController(w).Flush()
		first <- struct{}{}
		select {
		case <-held:
			_, _ = w.Write([]byte("half"))
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() {
		release()
		server.Close()
	})
	return server.URL, first, release
}

// eventIDs reads a stream to its end: the events' ids.
func eventIDs(t testing.TB, res *http.Response) (ids []int, ended bool) {
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			n, err := strconv.Atoi(id)
			if err != nil {
				t.Errorf("an event has the id %q", id)
			}
			ids = append(ids, n)
		}
		ended = ended || lines.Text() == "event: end"
	}
	return ids, ended
}

// Postgres is stopped and started again while a client follows a backup and another
// waits for its next change. The stream lacks nothing and says nothing twice, and the
// other client gets the change.
func TestStreamsThroughARestartOfPostgres(t *testing.T) {
	t.Parallel()
	opts := &env.PostgresOptions{Ways: []env.Way{env.Installed, env.Fetched}, Dir: postgresDir(t), Fast: true}
	postgres, err := env.StartPostgres(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, postgres.Close()) })
	at, err := url.Parse(postgres.URL)
	require.NoError(t, err)
	opts.Port, err = strconv.Atoi(at.Port())
	require.NoError(t, err)

	source, asked, release := slowSource(t)
	s := setup(t, 1000, "  - name: slow\n    url: "+source+"/{userId}/{siteId}\n")
	s.database = postgres.URL
	server := start(t, s.env(), "serve", "--migrate", "--listen", "localhost:0")
	api := server.ready()
	id := startBackup(t, api).ID
	follow := func() *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api+"/backup/"+id+"/events", http.NoBody)
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, res.StatusCode)
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}
	stream := follow()
	<-asked
	var now *http.Response
	poll(t, "the other tasks are done", func() bool {
		var b httpapi.Backup
		b, now = get(t, api+"/backup/"+id)
		done := 0
		for i := range b.Tasks {
			if b.Tasks[i].Status == "done" {
				done++
			}
		}
		return done == 2
	})

	var clients sync.WaitGroup
	var ids []int
	var ended bool
	clients.Go(func() { ids, ended = eventIDs(t, stream) })
	var change *http.Response
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api+"/backup/"+id+"?wait=60s", http.NoBody)
	require.NoError(t, err)
	req.Header.Set("If-None-Match", now.Header.Get("ETag"))
	clients.Go(func() {
		var err error
		if change, err = http.DefaultClient.Do(req); err != nil {
			t.Error(err)
			return
		}
		_ = change.Body.Close()
	})

	poll(t, "both to wait", func() bool {
		res, err := http.Get(api + "/metrics")
		require.NoError(t, err)
		text, err := io.ReadAll(res.Body)
		require.NoError(t, errors.Join(err, res.Body.Close()))
		return strings.Contains(string(text), `open_streams{kind="longPoll"} 1`) && strings.Contains(string(text), `open_streams{kind="events"} 1`)
	})

	require.NoError(t, postgres.Close())
	poll(t, "Postgres is away", func() bool {
		_, res := get(t, api+"/readyz")
		return res.StatusCode == http.StatusServiceUnavailable
	})
	postgres, err = env.StartPostgres(t.Context(), opts)
	require.NoError(t, err)
	release()
	clients.Wait()

	require.True(t, ended, "the stream has said that it is at its end")
	for i, n := range ids {
		require.Equal(t, i+1, n, "%v", ids)
	}
	b, _ := get(t, api+"/backup/"+id)
	require.Equal(t, "done", b.Status)
	again, _ := eventIDs(t, follow())
	require.Equal(t, again, ids, "it has had all")
	require.Equal(t, http.StatusOK, change.StatusCode)
	require.NotEqual(t, now.Header.Get("ETag"), change.Header.Get("ETag"))
}
