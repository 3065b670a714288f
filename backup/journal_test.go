package backup_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// What a source says of its export may be anything; what can't be stored is
// dropped, and the export goes on.
func TestOpenTaskDropsWhatPostgresCannotStore(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.plan(id, "db")
	w := b.claim(id, "db")
	longest := strings.Repeat("x", 1024)
	for said, want := range map[string]string{
		`"caf` + "\xe9" + `"`: "", "a\x00b": "", "a\nb": "", longest + "x": "", longest: longest, "text/plain": "text/plain",
	} {
		require.NoError(t, b.ledger.OpenTask(b.ctx, w, backup.Source{Validator: said, ContentType: "text/html", Size: -1}))
		require.Equal(t, 1, b.count("SELECT count(*) FROM {backup_task} WHERE validator = $1 AND content_type = 'text/html'", want), "%.20q", said)
		require.NoError(t, b.ledger.OpenTask(b.ctx, w, backup.Source{Validator: `"v"`, ContentType: said, Size: -1}))
		require.Equal(t, 1, b.count(`SELECT count(*) FROM {backup_task} WHERE validator = '"v"' AND content_type = $1`, want), "%.20q", said)
		require.Equal(t, want, w.Task.ContentType)
	}
}

// What a source announced before its first byte stands when it goes on and doesn't
// say it again, and is gone with the bytes.
func TestOpenTaskKeepsWhatWasAnnounced(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.plan(id, "db")
	w := b.claim(id, "db")
	first, second := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	requireAnnounced := func(size *int64, sum []byte) {
		t.Helper()
		require.NoError(t, b.ledger.ReleaseTask(b.ctx, backup.Beat{Lease: w.Lease}))
		w = b.claim(id, "db")
		require.Equal(t, size, w.Task.AnnouncedSize)
		require.Equal(t, sum, w.SHA256)
	}
	ten := int64(10)
	require.NoError(t, b.ledger.OpenTask(b.ctx, w, backup.Source{Validator: `"v"`, Size: 10, SHA256: first}))
	require.NoError(t, b.ledger.JournalTask(b.ctx, w, &blob.Checkpoint{Parts: parts(w, 0, 5), Offset: 5, SHA256: []byte("s")}, false))
	requireAnnounced(&ten, first)
	require.NoError(t, b.ledger.OpenTask(b.ctx, w, backup.Source{Resumed: true, Validator: `"v"`, Size: -1}))
	requireAnnounced(&ten, first)
	require.NoError(t, b.ledger.OpenTask(b.ctx, w, backup.Source{Validator: `"v"`, Size: -1}))
	requireAnnounced(nil, nil)
	require.NoError(t, b.ledger.JournalTask(b.ctx, w, &blob.Checkpoint{Parts: parts(w, 0, 5), Offset: 5, SHA256: []byte("s")}, false))
	require.NoError(t, b.ledger.OpenTask(b.ctx, w, backup.Source{Resumed: true, Validator: `"v"`, Size: 10, SHA256: second}))
	requireAnnounced(&ten, second)
	_, err := b.ledger.LoseTask(b.ctx, backup.Beat{Lease: w.Lease}, backup.Classify(errTest), backup.RetryPolicy{MaxAttempts: 3})
	require.NoError(t, err)
	w = b.claim(id, "db")
	requireAnnounced(nil, nil)
}

// Parts that don't follow those in the journal would lose bytes of the export.
func TestJournalRefusesParts(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.plan(id, "db")
	w := b.claim(id, "db")
	require.NoError(t, b.ledger.OpenTask(b.ctx, w, backup.Source{Size: -1}))
	require.NoError(t, b.ledger.JournalTask(b.ctx, w, &blob.Checkpoint{Parts: parts(w, 0, 5), Offset: 5, SHA256: []byte("s")}, false))
	before := b.snapshot()
	for name, c := range map[string]blob.Checkpoint{
		"gap":           {Parts: parts(w, 2, 5), Offset: 10},
		"offset behind": {Parts: parts(w, 1, 5), Offset: 11},
		"offset before": {Parts: parts(w, 1, 5), Offset: 5},
		"again":         {Parts: parts(w, 0, 5), Offset: 10},
		"no parts":      {Offset: 5},
		"out of order":  {Parts: slices.Concat(parts(w, 2, 5), parts(w, 1, 5)), Offset: 15},
	} {
		for _, announce := range []bool{false, true} {
			err := b.ledger.JournalTask(b.ctx, w, &c, announce)
			require.ErrorContains(t, err, "the parts don't follow those that are there", name)
			require.Equal(t, backup.ClassPermanent, backup.Classify(err).Class, name)
			require.Equal(t, before, b.snapshot(), name)
		}
	}
	require.NoError(t, b.ledger.JournalTask(b.ctx, w, &blob.Checkpoint{Parts: parts(w, 1, 5), Offset: 10, SHA256: []byte("t")}, true))
	b.requireSound()
}

// What a running task has stored can be given up, too.
func TestLoseRunningTask(t *testing.T) {
	t.Parallel()
	for name, final := range map[string]bool{"try again": false, "for good": true} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			id := b.start().ID
			b.plan(id, "db")
			w := b.claim(id, "db")
			require.NoError(t, b.ledger.OpenTask(b.ctx, w, backup.Source{Validator: `"v"`, Size: 10}))
			require.NoError(t, b.ledger.JournalTask(b.ctx, w, &blob.Checkpoint{Parts: parts(w, 0, 5), Offset: 5, SHA256: []byte("s")}, false))
			key := b.get(id).Tasks[0].ObjectKey
			cause := backup.Retryable(errTest, "")
			if final {
				cause = backup.Permanent(errTest, "")
			}
			out, err := b.ledger.LoseTask(b.ctx, backup.Beat{Lease: w.Lease}, backup.Classify(cause), backup.RetryPolicy{MaxAttempts: 3})
			require.NoError(t, err)
			require.Equal(t, final, out.Final)
			require.Equal(t, 1, b.count("SELECT failures FROM {backup_task}"))
			require.Zero(t, b.count("SELECT count(*) FROM {backup_part}"))
			if final {
				b.requireState(id, backup.StateFailed, states{"db": backup.TaskFailed})
				_, err := b.client.Retry(b.ctx, id)
				require.NoError(t, err)
			}
			b.requireState(id, backup.StateRunning, states{"db": backup.TaskPending})

			again := b.claim(id, "db")
			require.Nil(t, again.Checkpoint)
			require.Empty(t, again.Validator)
			require.NotEqual(t, w.UploadID, again.UploadID)
			require.NotEqual(t, key, again.Task.ObjectKey)
			require.Contains(t, again.Task.ObjectKey, again.UploadID.String())
			require.Zero(t, again.Task.StoredBytes)
			b.gate(again)
			require.NoError(t, b.ledger.FinishTask(b.ctx, again.Lease))
			b.requireState(id, backup.StateSealing, states{"db": backup.TaskDone})
		})
	}
}

// The gate keeps an export for as long as one may stand beside others.
func TestRetryBeginsOldTaskBehindGateAgain(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.plan(id, "db", "site")
	for _, p := range []string{"db", "site"} {
		w := b.claim(id, p)
		b.gate(w)
	}
	b.exec("UPDATE {backup_task} SET capture_finished_at = now() - interval '25 hours' WHERE provider = 'db'")
	b.expire()
	for _, p := range []string{"db", "site"} {
		b.fail(b.claim(id, p), backup.Permanent(errTest, ""))
	}
	old := b.get(id).Tasks[0].ObjectKey

	_, err := b.client.Retry(b.ctx, id)
	require.NoError(t, err)
	b.requireState(id, backup.StateRunning, states{"db": backup.TaskPending, "site": backup.TaskCommitting})
	w := b.claim(id, "db")
	require.Nil(t, w.Checkpoint)
	require.NotEqual(t, old, w.Task.ObjectKey)
	require.Nil(t, w.Task.CaptureFinishedAt)
}

// A reader that finds a manifest's key may count on the manifest.
func TestManifestKeyOnlyWhenDone(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	b.plan(id, "db")
	b.finish(id, "db")
	noKey := func(state backup.State) {
		b.Helper()
		listed, err := b.client.List(b.ctx, backup.ListParams{State: state})
		require.NoError(t, err)
		require.Len(t, listed, 1)
		require.Empty(t, listed[0].ManifestKey)
		require.Empty(t, b.get(id).ManifestKey)
		require.Equal(t, 1, b.count("SELECT count(*) FROM {backup} WHERE manifest_key <> ''"), "it is known already")
	}
	w, err := b.ledger.ClaimSeal(b.ctx, id, claim(b.job(id, "")))
	require.NoError(t, err)
	_, key, err := b.ledger.SaveManifest(b.ctx, w)
	require.NoError(t, err)
	noKey(backup.StateSealing)
	out, err := b.ledger.FailStep(b.ctx, w, backup.Classify(backup.Permanent(errTest, "")), backup.RetryPolicy{MaxAttempts: 2})
	require.NoError(t, err)
	require.True(t, out.Final)
	noKey(backup.StateFailed)
	_, err = b.client.Retry(b.ctx, id)
	require.NoError(t, err)
	b.seal(id)
	require.Equal(t, key, b.get(id).ManifestKey)
}

func TestListStrangeParams(t *testing.T) {
	b := setup(t)
	b.start()
	for _, id := range []string{"", "x", "0197b7c1-0000-7000-8000-00000000000\x00", "{0197b7c1-0000-7000-8000-000000000000}"} {
		_, err := b.client.List(b.ctx, backup.ListParams{After: &backup.Cursor{CreatedAt: time.Unix(0, 0), ID: id}})
		var field *backup.FieldError
		require.ErrorAs(t, err, &field, "%q", id)
		require.Equal(t, "after", field.Field)
	}
	for _, id := range []string{"a\x00", "\xff", "a\n"} {
		for _, p := range []backup.ListParams{{UserID: id}, {SiteID: id}} {
			got, err := b.client.List(b.ctx, p)
			require.NoError(t, err, "%q", id)
			require.Empty(t, got)
		}
	}
}
