package httpapi_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

// targets are the backups and schedules that requests are about: one for each operation
// that changes one, so that the others find theirs as it was.
func (p *pair) targets(t testing.TB) map[string]string {
	t.Helper()
	p.release()
	p.alice.awaitStatus(t, p.alice.running, "done")
	p.idle()
	ids := map[string]string{"": p.alice.done, "verifyBackup": p.alice.running}
	for _, name := range []string{"cancelBackup", "retryBackup", "deleteBackup", "holdBackup", "releaseBackup"} {
		b, err := p.client.Start(t.Context(), backup.StartParams{UserID: alice, SiteID: "s"})
		require.NoError(t, err)
		p.cancel(t, b.ID)
		ids[name] = b.ID
	}
	for _, name := range []string{"replaceSchedule", "deleteSchedule", "pauseSchedule", "resumeSchedule", "runSchedule"} {
		s, _ := p.alice.scheduled(t, `{"userId":"`+alice+`","siteId":"s","name":"`+name+`","cron":"@yearly"}`)
		ids[name] = s.ID
	}
	for _, name := range []string{"getSchedule", "listNextSlots", "listScheduleSlots"} {
		ids[name] = p.alice.schedules[0]
	}
	ids["getErasure"] = p.alice.erasures[0]
	return ids
}

func targetOf(ids map[string]string, o op) string {
	if id, ok := ids[o.OperationID]; ok {
		return id
	}
	return ids[""]
}

// hits counts the hostile values that each parameter had.
type hits map[string]int

// hostileRequests are requests with a hostile value in each parameter of the
// operation, in each member of its body, and around them.
func (p *pair) hostileRequests(t testing.TB, o op, id string, r *rand.Rand) (all []wire, n hits) {
	t.Helper()
	n = make(hits)
	base := o.valid(t, id)
	add := func(name string, w wire) {
		n[name]++
		all = append(all, w)
	}
	ids := strings.NewReplacer("{id}", id, "{theirs}", p.bob.idsFor(o)[0])
	for _, param := range o.Parameters {
		key := param.In + "." + param.Name
		values := hostileTexts
		if param.In == "header" {
			values = slices.Concat(values, otherHeaders[param.Name])
		}
		for _, value := range values {
			value = ids.Replace(value)
			switch param.In {
			case "path", "query":
				for _, escaped := range escapes(value) {
					add(key, base.with(o, param.In, param.Name, escaped))
				}
			case "header":
				add(key, base.with(o, "header", param.Name, value))
			default:
				t.Fatalf("%s: a parameter in %s can't be sent yet", o.OperationID, param.In)
			}
		}
		if param.In == "query" {
			for _, query := range []string{param.Name, param.Name + "&" + param.Name, param.Name + "=1&" + param.Name + "=2", param.Name + "[]=1", strings.ToUpper(param.Name) + "=1", "%" + param.Name + "=1"} {
				w := base
				w.query = query
				add(key, w)
			}
		}
		if param.In == "header" {
			add(key, base.with(o, "header", param.Name, "1\r\n"+param.Name+": 2"))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(otherHeaders)) {
		if o.declares(name) {
			continue // it had them all
		}
		for _, value := range slices.Concat(sample(r, otherHeaders[name], 6), sample(r, hostileTexts, 6)) {
			add("around", base.with(o, "header", name, ids.Replace(value)))
		}
	}
	for _, how := range []framing{chunked, truncated, badChunks} {
		w := base
		w.framing, w.body = how, base.body+" "
		add("around", w)
	}
	if o.body() == nil {
		for _, value := range sample(r, hostileBodies, 10) {
			w := base
			w.body = value
			add("around", w)
		}
		return all, n
	}
	for name := range o.body().Properties {
		for _, value := range hostileJSON {
			members := o.members()
			members[name] = value
			w := base
			w.body = object(members)
			add("body."+name, w)
		}
	}
	for _, value := range hostileBodies {
		w := base
		w.body, w.framing = value, framing(r.IntN(int(framings)))
		add("body", w)
	}
	return all, n
}

func sample[T any](r *rand.Rand, from []T, n int) []T {
	picked := slices.Clone(from)
	r.Shuffle(len(picked), func(i, j int) { picked[i], picked[j] = picked[j], picked[i] })
	return picked[:min(n, len(picked))]
}

// mixed puts together what two hostile requests have.
func mixed(a, b wire) wire {
	a.headers = append(slices.Clone(a.headers), b.headers...)
	a.query = strings.Trim(a.query+"&"+b.query, "&")
	if b.body != "" {
		a.body, a.framing = b.body, b.framing
	}
	return a
}

// minHits is how many hostile values every parameter and every member must have
// had.
const minHits = 50

// Whatever a caller sends in place of any parameter of any operation, the answer is
// one that the description has for that operation, in time, never 500 and more, and
// without a word of another tenant's or of the server's inside.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	p, all := setupPair(t), allOperations(t)
	ids := p.targets(t)
	for name, o := range all {
		r := rand.New(rand.NewPCG(1, uint64(len(name)))) // the same each time
		id := targetOf(ids, o)
		requests, n := p.hostileRequests(t, o, id, r)
		for _, param := range o.Parameters {
			require.GreaterOrEqual(t, n[param.In+"."+param.Name], minHits, "%s: %s", name, param.Name)
		}
		if o.body() != nil {
			for member := range o.body().Properties {
				require.GreaterOrEqual(t, n["body."+member], minHits, "%s: %s", name, member)
			}
		}
		for range envtest.Count(100, 20_000) {
			requests = append(requests, mixed(requests[r.IntN(len(requests))], requests[r.IntN(len(requests))]))
		}
		if raceDetector { // it makes them ten times as slow: others each time, all without it
			requests = sample(rand.New(rand.NewPCG(rand.Uint64(), 1)), requests, len(requests)/4)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			statuses := p.sendAll(t, all, o, id, requests)
			t.Log(len(requests), statuses)
		})
	}
}

// sendAll sends a good request, and the hostile ones behind it: as one of the
// tenants, and, where no backup is named, as somebody who may see all, too, since
// those whom it isn't for are refused before much is looked at.
func (p *pair) sendAll(t *testing.T, all map[string]op, o op, id string, requests []wire) map[int]int {
	t.Helper()
	statuses := make(map[int]int)
	tokens := []string{p.secrets[alice]}
	if !o.named() {
		tokens = append(tokens, p.secrets["all"])
	}
	for _, token := range tokens {
		secret := p.secretsOf(token)
		status, err := p.attempt(all, o.valid(t, id), token, secret)
		require.NoError(t, err)
		require.Equal(t, 2, status/100, "%d", status)
		for _, w := range requests {
			status, err := p.attempt(all, w, token, secret)
			if err != nil {
				t.Error(err)
				if statuses[-1]++; statuses[-1] > 10 {
					t.FailNow()
				}
			}
			statuses[status]++
		}
	}
	return statuses
}

// FuzzRequest looks for a request of any form that is answered by anything but what
// the description has. "{id}" in it stands for a backup (schedule, erasure) of the
// caller's, "{theirs}" for another tenant's.
func FuzzRequest(f *testing.F) {
	p, all := setupPair(f), allOperations(f)
	ids := p.targets(f)
	r := rand.New(rand.NewPCG(1, 2)) // the same each time
	for _, name := range slices.Sorted(maps.Keys(all)) {
		o := all[name]
		requests, _ := p.hostileRequests(f, o, "{id}", r)
		for _, w := range append(sample(r, requests, 8), o.valid(f, "{id}")) {
			back := strings.NewReplacer(p.bob.idsFor(o)[0], "{theirs}")
			f.Add(w.method, back.Replace(w.path), back.Replace(w.query), strings.Join(w.headers, "\r\n"), w.body, byte(w.framing))
		}
	}
	f.Fuzz(func(t *testing.T, method, path, query, headers, body string, how byte) {
		id, theirs := ids[""], p.bob.done
		if o, ok := route(all, method, path); ok {
			id, theirs = targetOf(ids, o), p.bob.idsFor(o)[0]
		}
		put := strings.NewReplacer("{id}", id, "{theirs}", theirs).Replace
		w := wire{method: method, path: put(path), query: put(query), body: put(body), framing: framing(how) % framings}
		for line := range strings.SplitSeq(put(headers), "\r\n") {
			name, _, _ := strings.Cut(strings.ToLower(line), ":")
			switch strings.TrimSpace(name) {
			case "", "connection", "content-length", "transfer-encoding", "expect", "authorization", "upgrade":
				continue // how it is sent isn't looked at here
			}
			w.headers = append(w.headers, line)
		}
		if strings.ContainsAny(method+path+query, "\r\n") || strings.ContainsAny(headers, "\x00") || method == http.MethodConnect {
			return
		}
		for _, token := range []string{p.secrets[alice], p.secrets["all"]} {
			if _, err := p.attempt(all, w, token, p.secretsOf(token)); err != nil {
				t.Fatal(fmt.Errorf("%w", err))
			}
		}
	})
}
