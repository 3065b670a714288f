package httpapi_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

// crowd are many clients that follow backups on one server, which is restarted
// while they do: told to stop once, and killed once.
type crowd struct {
	*bundle
	t        testing.TB
	listener *os.File // the server's, kept while it is restarted: who comes then waits
	server   *exec.Cmd

	clients sync.WaitGroup
	live    atomic.Int64 // that have got an answer from the present server
	got     atomic.Int64 // events, over all of them

	mu        sync.Mutex
	latencies []time.Duration
	problems  []string
}

// TestCrowd is 1,000 clients in a soak. Each gets every event of its backup once
// and in order, soon, at less than 64 KiB of the server's memory.
func TestCrowd(t *testing.T) { //nolint:paralleltest // it measures
	clients, backups, rounds := envtest.Count(100, 1000), envtest.Count(10, 50), envtest.Count(5, 20)
	c := &crowd{bundle: setup(t, settings{}), t: t}
	c.listen()
	c.startServer()
	work := make([]*backup.TaskWork, backups)
	for i := range work {
		work[i] = c.begin(t, c.startOne(t), "site")
	}
	const before = 5 // events of a backup by now: asked for, planned (2), claimed, and the one below
	for _, w := range work {
		c.journal(t, w, 0)
	}
	idle := c.memory()
	for i := range clients {
		c.clients.Go(func() { c.stay(work[i%backups].BackupID, int64(before+3*rounds+1)) })
	}
	c.waitFor(&c.live, clients)
	c.waitFor(&c.got, clients*before)
	perClient := (c.memory() - idle) / clients
	c.latencies = nil // those were there before

	part := 1
	write := func() {
		for range rounds {
			for _, w := range work {
				c.journal(t, w, part)
			}
			part++
		}
	}
	write()
	c.waitFor(&c.got, clients*(before+rounds))
	loaded := (c.memory() - idle) / clients
	slices.Sort(c.latencies)
	p95 := c.latencies[len(c.latencies)*95/100]
	t.Logf("%d clients: %d bytes of memory each while idle, %d under load; p95 %s, max %s", clients, perClient, loaded, p95, c.latencies[len(c.latencies)-1])

	c.restart(syscall.SIGTERM, write)
	c.restart(syscall.SIGKILL, write)
	for _, w := range work {
		c.cancel(t, w.BackupID)
	}
	c.clients.Wait()
	require.Empty(t, c.problems)
	require.Equal(t, clients*(before+3*rounds+2), int(c.got.Load()))
	slack := envtest.Count(8<<20, 0) // what a few clients don't outweigh
	if !raceDetector {
		require.Less(t, loaded*clients, clients<<16+slack)
		require.Less(t, perClient*clients, clients<<16+slack)
	}
	require.Less(t, p95, 500*time.Millisecond)
}

// restart ends the server while events are written, and starts another.
func (c *crowd) restart(signal syscall.Signal, write func()) {
	var writing sync.WaitGroup
	writing.Go(write)
	began := c.got.Load()
	eventually(c.t, func() bool { return c.got.Load() > began })
	require.NoError(c.t, c.server.Process.Signal(signal))
	err := c.server.Wait()
	if signal == syscall.SIGTERM {
		require.NoError(c.t, err)
	}
	c.startServer()
	writing.Wait()
}

// stay is a client: it comes again until it was told that the backup has ended
// and has the event numbered last, which isn't the last one.
func (c *crowd) stay(id string, last int64) {
	var seen int64
	for {
		s, err := c.tryOpen(id, seen)
		if err != nil {
			continue // the connection was cut off with the server
		}
		c.live.Add(1)
		for {
			m, err := s.next()
			if err != nil {
				break
			}
			if m.event == "end" {
				if seen <= last {
					c.problem("%s ended behind event %d", id, seen)
				}
				_ = s.res.Body.Close()
				return
			}
			if m.id != seen+1 {
				c.problem("%s sent event %d behind %d", id, m.id, seen)
			}
			seen = m.id
			c.note(m)
		}
		_ = s.res.Body.Close()
	}
}

func (c *crowd) note(m message) {
	at := time.Now()
	var data struct{ CreatedAt time.Time }
	if err := json.Unmarshal([]byte(m.data), &data); err != nil {
		c.problem("%s: %s", err, m.data)
	}
	c.mu.Lock()
	c.latencies = append(c.latencies, at.Sub(data.CreatedAt)) // from before the commit
	c.mu.Unlock()
	c.got.Add(1)
}

func (c *crowd) problem(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

func (c *crowd) tryOpen(id string, last int64) (*sse, error) {
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.url+"/backup/"+id+"/events", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Last-Event-ID", strconv.FormatInt(last, 10))
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		return nil, fmt.Errorf("status %d", res.StatusCode)
	}
	return &sse{res: res, lines: bufio.NewReaderSize(res.Body, 512)}, nil
}

func (c *crowd) waitFor(n *atomic.Int64, want int) {
	c.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(2 * time.Minute)
	for n.Load() < int64(want) {
		select {
		case <-tick.C:
		case <-late:
			require.Fail(c.t, "not in time", "%d of %d; %v", n.Load(), want, c.problems)
		}
	}
}

func (c *crowd) listen() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(c.t, err)
	c.url = "http://" + l.Addr().String()
	c.listener, err = l.(*net.TCPListener).File()
	require.NoError(c.t, err)
	require.NoError(c.t, l.Close())
	c.t.Cleanup(func() { _ = c.listener.Close() })
}

// startServer runs this test's program as a server: see serveHere.
func (c *crowd) startServer() {
	server := exec.Command(os.Args[0], "-test.run=^$")
	server.Env = append(os.Environ(), serverSchema+"="+c.schema, serverDatabase+"="+envtest.Database(c.t))
	server.ExtraFiles, server.Stderr = []*os.File{c.listener}, os.Stderr
	require.NoError(c.t, server.Start())
	c.server = server
	c.t.Cleanup(func() {
		if server.ProcessState == nil {
			_ = server.Process.Kill()
			_ = server.Wait()
		}
	})
	eventually(c.t, func() bool {
		res, err := http.Get(c.url + "/healthz")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// memory is what the server has of its own, in bytes.
func (c *crowd) memory() int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.server.Process.Pid))
	if err != nil {
		c.t.Skip("the memory of another process is read from /proc")
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, err := strconv.Atoi(strings.Fields(value)[0])
			require.NoError(c.t, err)
			return kb << 10
		}
	}
	require.Fail(c.t, "no RssAnon")
	return 0
}
