package jobs

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/httpexport"
)

// framing is a way in which a source sends its exports, and what becomes of them.
type framing struct {
	name  string
	end   string // "length", "chunked", "framed" (HTTP/2) or "close": what tells their end
	http2 bool
	tls   bool // closes connections without close_notify
	reset bool // ends connections with a RST
	gzip  bool

	encoded  bool // declared AllowEncoded
	unproven bool // declared AllowUnproven: cut exports can't be told from whole ones, and aren't tried

	proof   backup.Proof // of a whole export; empty: it is not done either
	class   backup.Class // of a cut one
	message string       // with %d for where it was cut
}

const (
	brokenOff = "after %d bytes of the body: "
	noProof   = "nothing proves the end of the export"
)

// framings are the rows of the truncation table.
var framings = []framing{
	{name: "length", end: "length", proof: backup.ProofLength, class: backup.ClassRetryable, message: brokenOff + "unexpected EOF"},
	{name: "length-reset", end: "length", reset: true, proof: backup.ProofLength, class: backup.ClassRetryable, message: "GET http://"},
	{name: "chunked", end: "chunked", proof: backup.ProofFraming, class: backup.ClassRetryable, message: brokenOff + "unexpected EOF"},
	{name: "close", end: "close", class: backup.ClassPermanent, message: noProof},
	{name: "close-declared", end: "close", unproven: true, proof: backup.ProofNone},
	{name: "gzip-refused", end: "length", gzip: true, class: backup.ClassPermanent, message: "the export has a content coding"},
	{name: "gzip-length", end: "length", gzip: true, encoded: true, proof: backup.ProofLength, class: backup.ClassRetryable, message: brokenOff + "unexpected EOF"},
	{name: "gzip-chunked", end: "chunked", gzip: true, encoded: true, proof: backup.ProofFraming, class: backup.ClassRetryable, message: brokenOff + "unexpected EOF"},
	{name: "gzip-close", end: "close", gzip: true, encoded: true, class: backup.ClassPermanent, message: noProof},
	{name: "http2", end: "framed", http2: true, proof: backup.ProofFraming, class: backup.ClassRetryable, message: brokenOff + "stream error"},
	{name: "http2-length", end: "length", http2: true, proof: backup.ProofLength, class: backup.ClassRetryable, message: brokenOff + "stream error"},
	{name: "tls-length", end: "length", tls: true, proof: backup.ProofLength, class: backup.ClassRetryable, message: brokenOff + "unexpected EOF"},
	{name: "tls-chunked", end: "chunked", tls: true, proof: backup.ProofFraming, class: backup.ClassRetryable, message: brokenOff + "unexpected EOF"},
	{name: "tls-close", end: "close", tls: true, class: backup.ClassPermanent, message: noProof},
	{name: "tls-close-declared", end: "close", tls: true, unproven: true, proof: backup.ProofNone},
}

// body is what a whole export has on the wire.
func (f *framing) body() []byte {
	if f.gzip {
		return zipped()
	}
	return noise()
}

// serve starts the source and returns the provider that reads it.
func (f *framing) serve(t *testing.T) backup.ProviderConfig {
	t.Helper()
	cfg := &httpexport.Config{AllowEncoded: f.encoded}
	if f.http2 {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(f.serveHTTP2))
		srv.EnableHTTP2 = true
		srv.StartTLS()
		t.Cleanup(srv.Close)
		cfg.URL, cfg.TLS = srv.URL, trustOf(srv)
	} else {
		cfg.URL, cfg.TLS = rawSource(t, f.tls, f.answerHTTP1)
	}
	cfg.URL += "/export/{userId}/{siteId}"
	p, err := httpexport.New(cfg)
	require.NoError(t, err)
	t.Cleanup(p.CloseIdleConnections)
	return backup.ProviderConfig{Name: f.name, Provider: p, MaxAttempts: 1, AllowUnproven: f.unproven}
}

const (
	truncatedPart = 1 << 20
	truncatedStep = 64 << 10
)

// boundaryCuts are one byte either side of each boundary between parts.
func boundaryCuts() (cuts []int) {
	for at := truncatedPart; at <= truncatedSize; at += truncatedPart {
		cuts = append(cuts, at-1, at+1)
	}
	return cuts[:len(cuts)-1] // the last one is behind the end
}

// allCuts are those and every 64 KiB.
func allCuts() []int {
	cuts := boundaryCuts()
	for at := 0; at < truncatedSize; at += truncatedStep {
		cuts = append(cuts, at)
	}
	return cuts
}

// A cut export is never done: it is cut at many places in each framing, and
// nothing of it comes into view. A whole one is done, with the proof that its
// framing allows.
func TestTruncation(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		store func(*testing.T) blob.Store
		cuts  []int
	}{
		"fileblob":  {fileStore, append(boundaryCuts(), 0, truncatedPart, 3*truncatedPart+truncatedStep)},
		"azureblob": {azureStore, []int{0, truncatedPart - 1, truncatedPart, truncatedPart + 1, truncatedSize - 1}},
	} {
		if os.Getenv("BACKUP_TEST_SOAK") == "1" {
			c.cuts = allCuts()
		}
		t.Run(name, func(t *testing.T) { testTruncation(t, c.store, c.cuts) })
	}
}

func testTruncation(t *testing.T, store func(*testing.T) blob.Store, cuts []int) {
	b := setup(t, setupOptions{store: store, config: func(c *backup.Config) {
		for i := range framings {
			c.Providers = append(c.Providers, framings[i].serve(t))
		}
	}})
	b.work(func(c *Config, _ *river.Config) { c.PartSize, c.LeaseDuration = truncatedPart, 30*time.Second })

	rows := truncations(cuts)
	params := make([]backup.StartParams, len(rows))
	for i, r := range rows {
		params[i] = backup.StartParams{UserID: userID, SiteID: cutSite(r.cut), Providers: []string{r.name}}
	}
	started, err := b.client.StartMany(b.ctx, params)
	require.NoError(b, err)
	b.eventually("all backups to end", 10*time.Minute, func() bool {
		return b.count("SELECT count(*) FROM {backup} WHERE state IN ('done', 'failed', 'canceled')") == len(rows)
	})

	var inView []string
	for i, r := range rows {
		got, err := b.client.Get(b.ctx, started[i].ID)
		require.NoError(b, err)
		if r.proof != "" && r.cut == len(r.body()) {
			b.requireWhole(r, got)
			inView = append(inView, got.Tasks[0].ObjectKey, got.ManifestKey)
		} else {
			b.requireNotDone(r, got)
		}
	}
	require.ElementsMatch(b, inView, b.keys(), "nothing of a cut export is in view")
	b.requireSound()
	b.Logf("%d backups, %d of them whole", len(rows), len(inView)/2)
}

// truncation is a row of the table: one backup.
type truncation struct {
	*framing
	cut int
}

func truncations(cuts []int) (rows []truncation) {
	slices.Sort(cuts)
	for i := range framings {
		f := &framings[i]
		rows = append(rows, truncation{f, len(f.body())})
		if f.unproven {
			continue
		}
		for _, cut := range slices.Compact(cuts) {
			rows = append(rows, truncation{f, cut})
		}
		if f.gzip {
			rows = append(rows, truncation{f, len(f.body()) - 1}) // the gzip trailer's last byte
		}
	}
	return rows
}

// requireWhole checks a backup whose export came to its end.
func (b *bundle) requireWhole(r truncation, got *backup.Backup) {
	b.Helper()
	require.Equal(b, backup.StateDone, got.State, "%s, whole: %+v", r.name, got.Failure)
	m := b.requireCopy(got)
	require.Equal(b, r.proof, m.Objects[0].Proof, "%s: the manifest says how the end was proven", r.name)
	require.Equal(b, r.proof, got.Tasks[0].Proof, r.name)
	sum := sha256.Sum256(r.body())
	require.True(b, bytes.Equal(sum[:], got.Tasks[0].SHA256), "%s: the bytes are stored as they came", r.name)
}

// requireNotDone checks a backup whose export was cut, or can't be proven whole.
func (b *bundle) requireNotDone(r truncation, got *backup.Backup) {
	b.Helper()
	row := fmt.Sprintf("%s, cut at %d", r.name, r.cut)
	require.Equal(b, backup.StateFailed, got.State, row)
	require.Empty(b, got.ManifestKey, row)
	require.Len(b, got.Tasks, 1, row)
	task := got.Tasks[0]
	require.Equal(b, backup.TaskFailed, task.State, row)
	require.Equal(b, 1, task.Attempt, row)
	require.NotNil(b, task.Failure, row)
	require.Equal(b, r.class, task.Failure.Class, "%s: %+v", row, task.Failure)
	message := r.message
	if strings.Contains(message, "%d") {
		message = fmt.Sprintf(message, r.cut)
	}
	require.Contains(b, task.Failure.Message, message, row)
	require.NotEmpty(b, task.Failure.Hint, row)
	require.Equal(b, r.name+": "+task.Failure.Message, got.Failure.Message, row)
	require.Zero(b, b.count(`SELECT count(*) FROM {backup_event}
		WHERE backup_id = $1 AND data->>'state' IN ('committing', 'sealing', 'done')`, got.ID), "%s: it never passed the gate", row)
}
