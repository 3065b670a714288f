package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
)

// monkey does harm, at times and in ways that its seed decides.
type monkey struct {
	t       testing.TB
	world   *world
	workers []*chaosWorker
	began   time.Time

	mu       sync.Mutex
	strikes  map[string]int
	canceled map[string]bool // backups of which it asked River UI to cancel a job
	broken   []string        // what it could not put right
}

// harm is one kind of harm. It puts right what it did before it returns.
type harm struct {
	name string
	do   func(ctx context.Context, rng *rand.Rand) (what string, err error)
}

// hand is kinds of harm that strike one after another, in turns of a random
// order, with a pause before each.
type hand struct {
	pause time.Duration // on the average
	harms []harm
}

// hands are all kinds of harm. The hands strike at the same time. The operator is
// slow where there is time, or half of the backups would be canceled.
func (m *monkey) hands(chaos time.Duration) []hand {
	return []hand{
		{600 * time.Millisecond, []harm{{"kill", m.kill}, {"kill", m.kill}, {"terminate", m.terminate}, {"freeze", m.freeze}, {"restart postgres", m.restartPostgres}, {"restart azurite", m.restartAzurite}}},
		{600 * time.Millisecond, []harm{
			m.toxic("reset_peer"), m.toxic("timeout"), m.toxic("latency"), m.toxic("bandwidth"), m.toxic("limit_data"),
			{"down", m.down}, {"partition", m.partition}, {"disconnect", m.disconnect},
		}},
		{min(chaos/25, 4*time.Second), []harm{{"cancel", m.operate("cancel")}, {"delete", m.operate("delete")}, {"delete", m.operate("delete")}, {"retry", m.operate("retry")}}},
	}
}

// run strikes for a while.
func (m *monkey) run(ctx context.Context, chaos time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, chaos)
	defer cancel()
	var striking sync.WaitGroup
	for i, hand := range m.hands(chaos) {
		rng := seeded(m.world.seed, "hand", strconv.Itoa(i))
		striking.Go(func() {
			for {
				for _, k := range rng.Perm(len(hand.harms)) {
					if !pause(ctx, between(rng, hand.pause/2, hand.pause*3/2)) {
						return
					}
					m.strike(ctx, rng, hand.harms[k])
				}
			}
		})
	}
	striking.Wait()
}

func (m *monkey) strike(ctx context.Context, rng *rand.Rand, h harm) {
	began := time.Since(m.began)
	what, err := h.do(ctx, rng)
	m.mu.Lock()
	defer m.mu.Unlock()
	if what != "" {
		m.strikes[h.name]++
		m.t.Logf("%6.1fs to %6.1fs: %s", began.Seconds(), time.Since(m.began).Seconds(), what)
	}
	if err != nil {
		m.broken = append(m.broken, fmt.Sprintf("%s: %v", what, err))
	}
}

func (m *monkey) worker(rng *rand.Rand) *chaosWorker { return m.workers[rng.IntN(len(m.workers))] }

func (m *monkey) kill(_ context.Context, rng *rand.Rand) (string, error) {
	w := m.worker(rng)
	w.signal(syscall.SIGKILL, true)
	return w.name + " killed", nil
}

func (m *monkey) terminate(_ context.Context, rng *rand.Rand) (string, error) {
	w := m.worker(rng)
	w.signal(syscall.SIGTERM, true)
	return w.name + " told to end", nil
}

// freeze stops a worker for less or more than its lease.
func (m *monkey) freeze(ctx context.Context, rng *rand.Rand) (string, error) {
	w := m.worker(rng)
	w.signal(syscall.SIGSTOP, false)
	pause(ctx, between(rng, time.Second, 12*time.Second))
	w.signal(syscall.SIGCONT, false)
	return w.name + " frozen", nil
}

func (m *monkey) restartPostgres(ctx context.Context, rng *rand.Rand) (string, error) {
	return "postgres restarted", m.world.restartPostgres(ctx, between(rng, 0, 4*time.Second))
}

func (m *monkey) restartAzurite(ctx context.Context, rng *rand.Rand) (string, error) {
	return "azurite restarted", m.world.restartAzurite(ctx, between(rng, 0, 4*time.Second))
}

// way is the connection of one worker, or of all, to a target.
func (m *monkey) way(rng *rand.Rand) (name string, proxies []*toxiproxy.Proxy) {
	target, who := targets[rng.IntN(len(targets))], "all workers"
	workers := m.workers
	if rng.IntN(3) > 0 {
		w := m.worker(rng)
		who, workers = w.name, []*chaosWorker{w}
	}
	for _, w := range workers {
		proxies = append(proxies, w.proxies[target])
	}
	return who + " to " + target, proxies
}

// toxic poisons a way with one of toxiproxy's toxics.
func (m *monkey) toxic(kind string) harm {
	return harm{kind, func(ctx context.Context, rng *rand.Rand) (string, error) {
		way, proxies := m.way(rng)
		attributes := map[string]any{
			"reset_peer": map[string]any{"timeout": rng.IntN(500)},
			"timeout":    map[string]any{"timeout": 0},
			"latency":    map[string]any{"latency": 100 + rng.IntN(400), "jitter": rng.IntN(200)},
			"bandwidth":  map[string]any{"rate": 32 + rng.IntN(256)},
			"limit_data": map[string]any{"bytes": 1000 + rng.IntN(500_000)},
		}[kind]
		stream := []string{"upstream", "downstream"}[rng.IntN(2)]
		spec, err := json.Marshal(map[string]any{"name": kind, "type": kind, "stream": stream, "attributes": attributes})
		if err != nil {
			return "", err
		}
		for _, p := range proxies {
			bounded(p, func() { _, err = p.Toxics.AddToxicJson(bytes.NewReader(spec)) })
			if err != nil {
				return "", err
			}
		}
		pause(ctx, between(rng, 500*time.Millisecond, 8*time.Second))
		for _, p := range proxies {
			bounded(p, func() { _ = p.Toxics.RemoveToxic(context.Background(), kind) })
		}
		return fmt.Sprintf("%s: %s %s %v", way, kind, stream, attributes), nil
	}}
}

// bounded changes a proxy's toxics. That waits for every connection to take it,
// which one whose other end doesn't read never does: then all are cut.
func bounded(p *toxiproxy.Proxy, change func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		change()
	}()
	select {
	case <-done:
	case <-time.After(3 * time.Second):
		p.Stop()
		<-done
		_ = again(context.Background(), p.Start) // the last look finds one that isn't up
	}
}

// down cuts a way and refuses new connections.
func (m *monkey) down(ctx context.Context, rng *rand.Rand) (string, error) {
	way, proxies := m.way(rng)
	return way + " down", m.cut(ctx, rng, proxies)
}

// partition cuts one worker off from everything.
func (m *monkey) partition(ctx context.Context, rng *rand.Rand) (string, error) {
	w := m.worker(rng)
	var proxies []*toxiproxy.Proxy
	for _, target := range targets {
		proxies = append(proxies, w.proxies[target])
	}
	return w.name + " cut off", m.cut(ctx, rng, proxies)
}

// disconnect ends half of the sessions that a worker, or all, has in Postgres, which
// itself goes on: whoever loses one can write at once by another.
func (m *monkey) disconnect(ctx context.Context, rng *rand.Rand) (string, error) {
	who := "worker-%"
	if rng.IntN(2) == 0 {
		who = m.worker(rng).name
	}
	var ended int
	for range 3 {
		var n int
		err := m.world.pool.QueryRow(ctx, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE application_name LIKE $1 AND (state LIKE 'idle in transaction%' OR state = 'active' OR random() < 0.3)`, who).Scan(&n)
		if err != nil {
			return "", nil //nolint:nilerr // Postgres is being restarted
		}
		ended += n
		pause(ctx, 300*time.Millisecond)
	}
	return fmt.Sprintf("%d sessions of %s ended", ended, who), nil
}

func (m *monkey) cut(ctx context.Context, rng *rand.Rand, proxies []*toxiproxy.Proxy) error {
	for _, p := range proxies {
		p.Stop()
	}
	pause(ctx, between(rng, 200*time.Millisecond, 10*time.Second))
	for _, p := range proxies {
		if err := again(context.WithoutCancel(ctx), p.Start); err != nil {
			return fmt.Errorf("start proxy %s: %w", p.Name, err)
		}
	}
	return nil
}

// operable are the states of jobs that an operator does something to.
var operable = map[string]string{
	"cancel": `'available', 'running', 'retryable', 'scheduled'`,
	"delete": `'available', 'retryable', 'scheduled', 'completed', 'cancelled'`,
	"retry":  `'retryable', 'scheduled', 'completed', 'cancelled', 'discarded'`,
}

// operate does something to a few jobs through River UI, one in a request: what
// it refuses for one job it refuses for all in it.
func (m *monkey) operate(verb string) func(context.Context, *rand.Rand) (string, error) {
	return func(ctx context.Context, rng *rand.Rand) (string, error) {
		url := m.worker(rng).url()
		if url == "" {
			return "", nil // it is being started
		}
		rows, err := m.world.pool.Query(ctx, `SELECT id, args->>'backup_id', kind, state::text FROM backup.river_job
			WHERE kind ~ '^backup(_task_.*|_seal|_delete|_verify)?$' AND state IN (`+operable[verb]+`)
			ORDER BY finalized_at IS NOT NULL, random() LIMIT $1`, 1+rng.IntN(2))
		if err != nil {
			return "", nil // Postgres is being restarted
		}
		defer rows.Close()
		var done []string
		for rows.Next() {
			var id int64
			var backupID, kind, state string
			if err := rows.Scan(&id, &backupID, &kind, &state); err != nil {
				return "", err
			}
			if verb == "cancel" {
				m.mu.Lock()
				m.canceled[backupID] = true
				m.mu.Unlock()
			}
			done = append(done, fmt.Sprintf("job %d (%s, %s) of %s: %s", id, kind, state, backupID, riverUI(ctx, url, verb, id)))
		}
		if len(done) == 0 {
			return "", nil
		}
		return "river UI, " + verb + " " + strings.Join(done, "; "), nil
	}
}

// riverUI sends what River UI's page sends, and returns the answer's status.
func riverUI(ctx context.Context, url, verb string, id int64) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	body := fmt.Sprintf(`{"ids":["%d"]}`, id)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/riverui/api/jobs/"+verb, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "no answer"
	}
	_ = res.Body.Close()
	return res.Status
}
