package jobs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/httpexport"
	"github.com/sitebackup/sitebackup/internal/envtest"
	"github.com/sitebackup/sitebackup/internal/memblob"
)

// Sources whose every answer is made up by chance: what is done is one version of the
// export in whole, unless the answers, taken at their word, describe just those bytes.
func TestHostileSources(t *testing.T) {
	t.Parallel()
	for round := range envtest.Count(1, 50) {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(round)+2, 0)) // each time the same, and ones that found the defects that are known
			if envtest.Soak() || os.Getenv("BACKUP_TEST_SEED") != "" {
				random = seeded(t)
			}
			h := new(hostile)
			for id := range hostileExports {
				h.exports = append(h.exports, newHostileExport(random.Uint64(), id))
			}
			h.bundle = setup(t, setupOptions{
				store:  func(*testing.T) blob.Store { h.objects = memblob.New(); return h.objects },
				config: func(c *backup.Config) { h.configure(t, c) },
			})
			h.run(random)
			h.check()
		})
	}
}

// hostileExports is how many exports there are of a seed.
const hostileExports = 400

// hostile is a round of the test.
type hostile struct {
	*bundle
	exports []*hostileExport
	objects *memblob.Store
	started []*backup.Backup
}

// configure makes the providers, and a pool whose sessions can be told from others.
func (h *hostile) configure(t *testing.T, c *backup.Config) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var id int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &id); err == nil {
			h.exports[id].answer(r).send(w, r)
		}
	})
	http1 := httptest.NewServer(handler)
	t.Cleanup(http1.Close)
	http2 := httptest.NewUnstartedServer(handler)
	http2.EnableHTTP2 = true
	http2.StartTLS()
	t.Cleanup(http2.Close)
	for name, cfg := range map[string]*httpexport.Config{
		"http1":  {URL: http1.URL},
		"http2":  {URL: http2.URL, TLS: trustOf(http2)},
		"link":   {URL: http1.URL, Pages: &httpexport.Pages{}},
		"cursor": {URL: http1.URL, Pages: &httpexport.Pages{CursorHeader: "Next", CursorParam: "mark"}},
	} {
		cfg.URL += "/{userId}"
		p, err := httpexport.New(cfg)
		require.NoError(t, err)
		t.Cleanup(p.CloseIdleConnections)
		c.Providers = append(c.Providers, backup.ProviderConfig{
			Name: name, Provider: p, MaxAttempts: 100, MaxWorkers: 16, AllowEmpty: true, StallTimeout: time.Second,
		})
	}
	own := c.Pool.Config()
	own.ConnConfig.RuntimeParams["application_name"] = c.Schema
	own.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	var err error
	c.Pool, err = pgxpool.NewWithConfig(t.Context(), own)
	require.NoError(t, err)
	t.Cleanup(c.Pool.Close)
}

// run makes backups of all exports, and disturbs them.
func (h *hostile) run(random *rand.Rand) {
	params := make([]backup.StartParams, len(h.exports))
	for i, e := range h.exports {
		params[i] = backup.StartParams{UserID: fmt.Sprint(i), SiteID: siteID, Providers: []string{e.kind}}
	}
	var err error
	h.started, err = h.client.StartMany(h.ctx, params)
	require.NoError(h, err)
	change := func(c *Config, _ *river.Config) { c.JournalBytes, c.JournalInterval = 1, 10*time.Millisecond }
	stop := h.work(change)
	h.eventually("all backups to end", 5*time.Minute, func() bool {
		h.exec(`UPDATE {backup_task} SET next_attempt_at = now() WHERE id IN
			(SELECT id FROM {backup_task} WHERE next_attempt_at > now() FOR UPDATE SKIP LOCKED)`)
		h.exec(`UPDATE {river_job} SET state = 'available', scheduled_at = now() WHERE id IN
			(SELECT id FROM {river_job} WHERE state IN ('retryable', 'scheduled') AND kind ~ '^backup(_task|_seal|$)' FOR UPDATE SKIP LOCKED)`)
		what := random.IntN(60)
		if what > 2 || what > 0 && !envtest.Soak() { // a job whose session ended waits for River's rescuer
			return h.over()
		}
		h.disturb()
		defer h.disturb()
		switch what {
		case 0:
			stop()
			stop = h.work(change)
		case 1:
			h.exec("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()", h.schema)
		case 2:
			h.exec(`UPDATE {backup_task} SET lease_token = gen_random_uuid(), lease_until = now() WHERE id IN
				(SELECT id FROM {backup_task} WHERE state = 'running' FOR UPDATE SKIP LOCKED)`)
		}
		return h.over()
	})
	stop()
	h.client.Pool().Reset() // its sessions may have ended
}

func (h *hostile) over() bool {
	return h.count("SELECT count(*) FROM {backup} WHERE state NOT IN ('done', 'failed', 'canceled')") == 0
}

// disturb notes which answers may be read to any byte.
func (h *hostile) disturb() {
	for _, e := range h.exports {
		e.mu.Lock()
		if n := len(e.answers); n > 0 {
			e.answers[n-1].disturbed = true
		}
		e.mu.Unlock()
	}
}

// check checks what has become of the exports.
func (h *hostile) check() {
	counts := make(map[string]int)
	for i, e := range h.exports {
		got, err := h.client.Get(h.ctx, h.started[i].ID)
		require.NoError(h, err)
		counts["answers"] += len(e.answers)
		what := h.verdict(e, got)
		counts[what]++
		if what == "wrong" {
			h.Errorf("export %d, %s, once %t, is %s: %+v", i, e.kind, e.once, got.State, got.Failure)
			if got.State == backup.StateDone {
				h.Log("it has", e.runs(h.objects.Objects[got.Tasks[0].ObjectKey].Data))
			}
			for _, a := range e.answers {
				h.Logf("%s: %s", a, e.runs(a.body))
			}
		}
	}
	h.Log(counts)
	require.Greater(h, counts["whole"], hostileExports/4, "most are worth it")
}

// verdict is "whole", "as said", "failed", or "wrong".
func (h *hostile) verdict(e *hostileExport, got *backup.Backup) string {
	if got.State != backup.StateDone {
		if e.once && (len(e.answers) <= e.odd || !e.answers[e.odd].mayFail()) {
			return "wrong" // it would have been right
		}
		return "failed"
	}
	o := h.objects.Objects[got.Tasks[0].ObjectKey].Data
	is := func(version []byte) bool { return bytes.Equal(version, o) }
	switch {
	case slices.ContainsFunc(e.versions, is):
		return "whole"
	case e.paged() && describedInPages(e.answers, o, ""), !e.paged() && described(e.answers, o, len(o), ""):
		return "as said"
	}
	return "wrong"
}

// String is the answer for a reader of the log.
func (a *hostileAnswer) String() string {
	s := fmt.Sprintf("offset %d, If-Range %s, page %q: %d tags %s Content-Range %v %s (%d) of %d bytes, %s", a.offset, a.ifRange, a.page,
		a.status, a.tags, a.ranges, a.framing, a.length, len(a.body), a.end)
	if a.content != nil || a.repr != nil {
		s += fmt.Sprintf(", digests %.4x %.4x trailer %t", a.content, a.repr, a.trailer)
	}
	return s + fmt.Sprintf(", %s%s next %q, disturbed %t", a.typ, a.encoding, a.next, a.disturbed)
}

// runs says of data what it is made of.
func (e *hostileExport) runs(data []byte) string {
	var out []string
	for len(data) > 0 {
		word, longest, what := data[:min(8, len(data))], 1, fmt.Sprintf("%x", data[0])
		for v, all := range e.versions {
			at := bytes.Index(all, word)
			if n := common(all[max(at, 0):], data); at >= 0 && n >= longest {
				longest, what = n, fmt.Sprintf("v%d[%d:%d]", v, at, at+n)
			}
		}
		out, data = append(out, what), data[longest:]
	}
	return strings.Join(out, " ")
}

func common(a, b []byte) (n int) {
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func (a *hostileAnswer) saysPart() bool {
	return slices.ContainsFunc(a.ranges, func(r hostileRange) bool {
		return r.isPart() && (r.first > 0 || r.last+1 != r.total)
	})
}

// mayFail reports whether it may be taken for the source's last word.
func (a *hostileAnswer) mayFail() bool {
	unasked := a.offset < 0 && (a.status == 206 || a.status == 416 || a.status == 200 && a.saysPart())
	return a.status == 404 || unasked || a.encoding != "" || a.framing == "close"
}

// described reports whether the answers, taken at their word (RFC 9110, RFC 9530), have
// given o[:n]: in one, or in ones each of which went on behind the one before. The bytes
// are of the export with the validator; without one, o is whole with them.
func described(answers []*hostileAnswer, o []byte, n int, validator string) bool {
	for i, a := range slices.Backward(answers) {
		from, ok := a.begins(validator)
		body := a.seen()
		if !ok || from > n || from+len(body) < n || !bytes.Equal(body[:n-from], o[from:n]) || !a.agrees(o, validator == "") {
			continue
		}
		if validator == "" && !a.ends(o, from) {
			continue
		}
		if from == 0 || described(answers[:i], o, from, a.ifRange) {
			return true
		}
	}
	return false
}

// begins returns where in the export the answer's body begins, if it says that, and
// of the export with the validator, where one is given.
func (a *hostileAnswer) begins(validator string) (from int, ok bool) {
	strong := len(a.tags) > 0 && !strings.HasPrefix(a.tags[0], "W/") && (a.dated || len(a.tags) == 1)
	switch {
	case a.status == 204:
		return 0, validator == ""
	case a.status != 416 && (a.encoding != "" || a.typ == "text/html"):
		return 0, false
	case a.status == 200:
		return 0, !a.saysPart() && (validator == "" || strong && a.tags[0] == validator)
	case a.offset < 0 || len(a.ranges) != 1 || validator != "" && a.ifRange != validator:
		return 0, false
	}
	r := a.ranges[0]
	same := strong && a.tags[0] == a.ifRange || len(a.tags) == 0 && (a.dated || a.status == 416)
	if a.status == 416 {
		return a.offset, same && r.unit == "bytes" && r.first < 0 && r.total == a.offset
	}
	fits := len(a.seen()) <= r.last+1-r.first || a.disturbed && validator != ""
	return a.offset, a.status == 206 && same && r.isPart() && r.first == a.offset && fits && (a.framing != "length" || a.length == r.last+1-r.first)
}

// agrees reports whether nothing that the answer says of the whole, or of what it
// sent, speaks against o.
func (a *hostileAnswer) agrees(o []byte, last bool) bool {
	if a.status == 204 {
		return true
	}
	if total := a.total(); total >= 0 && total != len(o) {
		return false
	}
	if a.status == 416 {
		return true // its digests are those of the text of the error
	}
	whole, body := sha256.Sum256(o), sha256.Sum256(a.seen())
	if !a.trailer && a.repr != nil && !bytes.Equal(a.repr, whole[:]) || a.status == 200 && !a.trailer && a.content != nil && !bytes.Equal(a.content, whole[:]) {
		return false
	}
	return a.content == nil || !a.complete() || !last && (a.disturbed || a.framing == "close") || bytes.Equal(a.content, body[:])
}

// total is the length of the whole that the answer announces, or -1.
func (a *hostileAnswer) total() int {
	switch {
	case a.status != 200:
		return a.ranges[0].total
	case a.framing == "length":
		return a.length
	}
	return -1
}

// ends reports whether the answer proves that o ends where it does.
func (a *hostileAnswer) ends(o []byte, from int) bool {
	whole := sha256.Sum256(o)
	switch a.status {
	case 204, 416:
		return len(o) == from
	case 206:
		return a.ranges[0].total == len(o) && from+len(a.seen()) >= len(o) && (!a.trailer || a.repr == nil || bytes.Equal(a.repr, whole[:]))
	}
	return a.proven() && len(a.seen()) == len(o) && (!a.trailer || a.repr == nil || bytes.Equal(a.repr, whole[:]))
}

// proven reports whether the answer proves that its body is all there.
func (a *hostileAnswer) proven() bool {
	return a.complete() && (a.framing != "close" || a.content != nil || a.repr != nil)
}

// describedInPages is described of an export whose page behind o is next.
func describedInPages(answers []*hostileAnswer, o []byte, next string) bool {
	for i, a := range slices.Backward(answers) {
		body := a.seen()
		names := slices.Equal(a.next, []string{next}) || next == "" && len(a.next) == 0
		if !names || a.status != 200 && a.status != 204 || !bytes.HasSuffix(o, body) || a.status == 200 && a.encoding != "" {
			continue
		}
		sum, before := sha256.Sum256(body), o[:len(o)-len(body)]
		for _, digest := range [][]byte{a.content, a.repr} {
			names = names && (a.status == 204 || digest == nil || bytes.Equal(digest, sum[:]))
		}
		if names && a.proven() && (a.page == "" && len(before) == 0 || a.page != "" && describedInPages(answers[:i], before, a.page)) {
			return true
		}
	}
	return false
}
