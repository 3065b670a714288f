package httpapi_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
)

// unnamed are the operations whose path has no id, with what tells that each shows alice
// nothing of bob's. The others are tested alike, by the id.
var unnamed = map[string]func(*pair, *testing.T){
	"listBackups": (*pair).listsHers, "startBackup": (*pair).startsHers, "listProviders": func(p *pair, t *testing.T) { p.ask(t, p.alice, wire{method: "GET", path: "/provider"}) },
	"createSchedule": (*pair).schedulesHers, "listSchedules": (*pair).listsHerSchedules, "planRetention": (*pair).plansHers,
	"eraseUser": (*pair).erasesHers, "eraseSite": (*pair).erasesHers,
}

// ask sends a request as one of the tenants. Nothing of bob's may be in an answer to
// alice, whatever she has sent.
func (p *pair) ask(t *testing.T, as *tenant, w wire) answer {
	t.Helper()
	raw := w.bytes(as.token)
	res, body, err := p.exchange(raw, w.method, false)
	require.NoError(t, err, "%s", raw)
	if as == p.alice {
		var head bytes.Buffer
		_ = res.Header.Write(&head)
		require.Empty(t, leaks(head.String()+string(body), p.marksOfBob()), "%s\n%s\n%s", raw, &head, body)
	}
	return answer{res, body}
}

// Two tenants have the same of everything. Each sees only their own, through every
// operation that there is: what is another's is answered, in status, headers and
// body, as an id that no backup has.
func TestTenants(t *testing.T) {
	t.Parallel()
	p, all := setupPair(t), allOperations(t)
	before := p.seenBy(t, p.bob)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		o := all[name]
		if !o.named() {
			require.Contains(t, unnamed, name, "no test is known for this operation: add one")
			unnamed[name](p, t)
			continue
		}
		for i, id := range p.bob.idsFor(o) {
			none, theirs, own := p.variants(t, o, unused), p.variants(t, o, id), p.variants(t, o, p.alice.idsFor(o)[i])
			for j := range theirs {
				want, got := p.ask(t, p.alice, none[j]), p.ask(t, p.alice, theirs[j])
				require.Equal(t, http.StatusNotFound, got.StatusCode, "%s", got.body)
				require.Equal(t, told(want), told(got), "%s %v", name, theirs[j])
				if o.Method == http.MethodGet && !strings.HasSuffix(o.Path, "/events") {
					require.NotEqual(t, http.StatusNotFound, p.ask(t, p.alice, own[j]).StatusCode, "%s: her own isn't found", name)
				}
			}
		}
	}
	require.Equal(t, before, p.seenBy(t, p.bob), "alice has changed what is bob's")
	for _, path := range []string{"/metrics", "/readyz", "/healthz", "/freshness", "/openapi.json", "/docs"} {
		p.ask(t, p.alice, wire{method: http.MethodGet, path: path})
	}
	p.runsHers(t)
	p.followsHers(t)
}

// variants are good requests of the operation, with all that a caller can know of
// another's backup or schedule.
func (p *pair) variants(t *testing.T, o op, id string) []wire {
	t.Helper()
	w := o.valid(t, id)
	all := []wire{w}
	if o.Method == http.MethodGet {
		head := w
		head.method = http.MethodHead
		all = append(all, head)
	}
	for _, param := range o.Parameters {
		switch param.Name {
		case "wait":
			all = append(all, w.with(o, "query", "wait", "50ms").with(o, "header", "If-None-Match", "*"))
		case "lastEventId", "Last-Event-ID":
			all = append(all, w.with(o, param.In, param.Name, "1"), w.with(o, param.In, param.Name, "9999"))
		case "redirect":
			all = append(all, w.with(o, "query", "redirect", "true"))
		case "provider":
			all = append(all, w.with(o, "path", "provider", "db"))
		case "Range":
			all = append(all, w.with(o, "header", "Range", "bytes=0-9"), w.with(o, "header", "Range", "bytes=9999999-"))
		case "If-Range":
			all = append(all, w.with(o, "header", "Range", "bytes=0-9").with(o, "header", "If-Range", `"x"`))
		case "If-Match", "If-None-Match":
			all = append(all, w.with(o, "header", param.Name, `"x"`), w.with(o, "header", param.Name, "*"))
		case "Idempotency-Key":
			all = append(all, w.with(o, "header", param.Name, "key of s"))
		case "cursor":
			all = append(all, w.with(o, "query", "cursor", "9999-01-01T00:00:00Z"))
		case "id":
			all = append(all, w.with(o, "path", "id", strings.ToUpper(id)))
		}
	}
	return all
}

// told is all that an answer tells, but for what each has of its own.
func told(a answer) string {
	id := a.Header.Get("X-Request-Id")
	head := a.Header.Clone()
	head.Del("X-Request-Id")
	head.Del("Date")
	var text bytes.Buffer
	_ = head.Write(&text)
	return text.String() + strings.ReplaceAll(string(a.body), id, "")
}

// seenBy is all that a tenant sees.
func (p *pair) seenBy(t *testing.T, n *tenant) (all []string) {
	t.Helper()
	for _, id := range n.ids() {
		a := p.ask(t, n, wire{method: http.MethodGet, path: "/backup/" + id})
		require.Equal(t, http.StatusOK, a.StatusCode)
		v := decode[httpapi.Backup](t, a)
		for i := range v.Tasks {
			v.Tasks[i].Rate, v.Tasks[i].ETASeconds = 0, nil // of the heartbeats
		}
		body, _, _ := strings.Cut(string(p.ask(t, n, wire{method: http.MethodGet, path: "/backup?limit=200"}).body), `"nextCursor"`)
		all = append(all, v.Status, v.ID, fmt.Sprint(v.Hold != nil, v.Verifying, v.CancelRequestedAt), body)
	}
	for _, id := range n.schedules {
		for _, path := range []string{"/schedule", "/schedule/" + id, "/schedule/" + id + "/slot"} {
			a := p.ask(t, n, wire{method: http.MethodGet, path: path})
			require.Equal(t, http.StatusOK, a.StatusCode)
			all = append(all, string(a.body))
		}
	}
	return all
}

func (p *pair) listsHers(t *testing.T) {
	t.Helper()
	bobs := decode[httpapi.BackupList](t, p.ask(t, p.bob, wire{method: http.MethodGet, path: "/backup", query: "limit=1"}))
	require.Contains(t, p.bob.ids(), bobs.Backups[0].ID)
	for query, n := range map[string]int{
		"": 5, "siteId=s": 1, "siteId=slow": 2, "userId=" + alice: 5, "userId=" + url.QueryEscape(bob): 0, "userId=" + url.QueryEscape(bob) + "&limit=1": 0,
		"status=done": 2, "status=failed": 1, "status=canceled": 1, "status=running,pending": 1, "since=2020-01-01T00:00:00Z": 5, "limit=200": 5, "userId=*": 0, "userId=%25": 0,
	} {
		list := decode[httpapi.BackupList](t, p.ask(t, p.alice, wire{method: http.MethodGet, path: "/backup", query: query}))
		require.Len(t, list.Backups, n, query)
		for _, b := range list.Backups {
			require.Equal(t, alice, b.UserID)
		}
	}
	for _, cursor := range []string{bobs.NextCursor, p.cursorOf(t)} {
		p.ask(t, p.alice, wire{method: http.MethodGet, path: "/backup", query: "cursor=" + cursor})
	}
}

// cursorOf is one that a caller who sees all was given.
func (p *pair) cursorOf(t *testing.T) string {
	t.Helper()
	list := p.list(t, "?limit=2")
	require.NotEmpty(t, list.NextCursor)
	return list.NextCursor
}

// startsHers starts backups with what bob has used: his keys, his pair, his id.
func (p *pair) startsHers(t *testing.T) {
	t.Helper()
	post := func(body string, headers ...string) answer {
		return p.ask(t, p.alice, wire{method: http.MethodPost, path: "/backup", body: body, headers: append(headers, "Content-Type: application/json")})
	}
	of := func(user string) string {
		return `{"userId":"` + user + `","siteId":"s","labels":{"reason":"before upgrade","owner":"` + user + `"}}`
	}
	key := "Idempotency-Key: key of s"
	again := post(of(alice), key)
	require.Equal(t, p.alice.done, decode[httpapi.Backup](t, again).ID, "it is the key of her own")
	for _, a := range []answer{post(of(bob), key), post(of(bob)), post(`{"userId":"` + bob + `","siteId":"slow","ifActive":"reject"}`), post(`{"userId":"` + bob + `","siteId":"slow","ifActive":"join"}`)} {
		requireProblem(t, a, 403, httpapi.CodeForbidden)
	}
	for _, how := range []string{"join", "reject"} {
		a := post(`{"userId":"` + alice + `","siteId":"slow","ifActive":"` + how + `"}`)
		require.Contains(t, string(a.body), p.alice.running)
	}
}

// followsHers reads streams of what runs for her while the same goes on for bob.
func (p *pair) followsHers(t *testing.T) {
	t.Helper()
	answers := make(chan answer, 2)
	for _, suffix := range []string{"/events", "?wait=30s"} {
		path, query, _ := strings.Cut("/backup/"+p.alice.running+suffix, "?")
		w := wire{method: http.MethodGet, path: path, query: query}
		if query != "" {
			w.headers = []string{"If-None-Match: " + p.alice.get(t, path).Header.Get("ETag")}
		}
		go func() { answers <- p.ask(t, p.alice, w) }()
	}
	p.bob.cancel(t, p.bob.running)
	p.alice.cancel(t, p.alice.running)
	for range 2 {
		a := <-answers
		require.Equal(t, http.StatusOK, a.StatusCode)
		require.Contains(t, string(a.body), p.alice.running)
		require.Contains(t, string(a.body), "canceled")
	}
	stream := p.ask(t, p.alice, wire{method: http.MethodGet, path: "/backup/" + p.alice.failed + "/events"})
	require.Contains(t, string(stream.body), "no export for "+alice)
	theirs := p.ask(t, p.bob, wire{method: http.MethodGet, path: "/backup/" + p.bob.failed + "/events"})
	require.NotEmpty(t, leaks(string(theirs.body), []string{bobMark}), "the marks are in what is bob's")
	damaged := decode[httpapi.Backup](t, p.ask(t, p.bob, wire{method: http.MethodGet, path: "/backup/" + p.bob.corrupt}))
	require.Contains(t, damaged.Verification.Problems[0].Object, bobMark)
}

// Each operation wants its own scope, and none that is missing is made up for by
// the others. What it wants is written here once more, besides the description.
func TestScopesOfEveryOperation(t *testing.T) {
	t.Parallel()
	p, all := setupPair(t), allOperations(t)
	for name, o := range all {
		need := "writer"
		switch {
		case o.Method == http.MethodGet || o.Method == http.MethodHead:
			need = "reader"
		case name == "holdBackup" || name == "releaseBackup":
			need = "admin"
		}
		require.Equal(t, []string{map[string]string{"writer": "write", "reader": "read", "admin": "admin"}[need]}, o.needs(), name)
		for _, who := range []string{"reader", "writer", "admin"} {
			res, body, err := p.exchange(o.valid(t, unused).bytes(p.secrets[who]), o.Method, false)
			require.NoError(t, err)
			if who == need {
				require.NotEqual(t, http.StatusForbidden, res.StatusCode, "%s: %s", name, who)
				continue
			}
			require.Equal(t, http.StatusForbidden, res.StatusCode, "%s: %s", name, who)
			require.Contains(t, res.Header.Get("WWW-Authenticate"), `scope="`+o.needs()[0]+`"`)
			if o.Method != http.MethodHead {
				requireProblem(t, answer{res, body}, 403, httpapi.CodeForbidden)
			}
		}
	}
}
