package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
	"github.com/sitebackup/sitebackup/internal/memblob"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	es, store := exports(), memblob.New()
	b := setup(t, settings{store: store, exports: es})
	id := b.done(t).ID
	verify := func(body string) httpapi.Backup {
		a := b.verb(t, http.MethodPost, id, "/verify", body)
		require.Equal(t, http.StatusAccepted, a.StatusCode, "%s", a.body)
		require.True(t, decode[httpapi.Backup](t, a).Verifying)
		return b.awaits(t, id, func(v httpapi.Backup) bool { return !v.Verifying })
	}
	v := verify("")
	require.NotNil(t, v.VerifiedAt)
	require.Nil(t, v.CorruptAt)
	require.Equal(t, 1.0, v.Verification.Sample)
	require.Equal(t, int64(300_010), v.Verification.Bytes)
	require.Equal(t, []int{2, 6}, []int{v.Verification.Objects, v.Verification.Parts})
	require.Empty(t, v.Verification.Problems)

	var damaged string
	for key, o := range store.Objects {
		if strings.Contains(key, "/site/") {
			o.Data[3<<16] ^= 1
			damaged = key
		}
	}
	v = verify(`{"sample":1}`)
	require.NotNil(t, v.CorruptAt)
	require.NotEmpty(t, v.Verification.Problems)
	p := v.Verification.Problems[0]
	require.Equal(t, "site", p.Provider)
	require.Equal(t, damaged, p.Object)
	require.Equal(t, 3, *p.Part)
	require.Equal(t, "CRC64", p.What)
	require.Equal(t, v.Verification, b.list(t, "").Backups[0].Verification)

	v = verify(`{"sample":0.01}`)
	require.InDelta(t, 0.01, v.Verification.Sample, 0)
	require.Equal(t, 2, v.Verification.Parts, "one of each export")
	for _, body := range []string{`{"sample":0}`, `{"sample":1.1}`, `{"sample":-1}`} {
		p := requireProblem(t, b.verb(t, http.MethodPost, id, "/verify", body), 422, httpapi.CodeValidationFailed)
		require.Equal(t, []httpapi.FieldError{{"body.sample", "must be more than 0 and at most 1"}}, p.Errors)
	}
	requireProblem(t, b.verb(t, http.MethodPost, b.started(t, `{"userId":"u","siteId":"t","providers":["db"],"sizeLimit":1}`).ID, "/verify", ""), 409, httpapi.CodeStateConflict)
}

// Both the wish to verify and its result are events: whoever waits is told of
// each, and what a second verification changes is in the entity tag, although it
// finds nothing new.
func TestVerifyWakesWhoWaits(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{store: memblob.New(), exports: exports(), watch: true})
	id := b.done(t).ID
	seen := b.follow(t, id, 0).rest(t)
	last := seen[len(seen)-2].id // before the end message
	for range 2 {
		before := b.get(t, "/backup/"+id)
		etag, was := before.Header.Get("ETag"), decode[httpapi.Backup](t, before).VerifiedAt
		answers := make(chan answer, 1)
		go func() { answers <- b.poll(t, id, etag, "30s") }()
		requireWaiting(t, answers)
		require.Equal(t, http.StatusAccepted, b.verb(t, http.MethodPost, id, "/verify", "").StatusCode)
		a := <-answers
		for decode[httpapi.Backup](t, a).Verifying {
			require.NotEqual(t, etag, a.Header.Get("ETag"))
			etag = a.Header.Get("ETag")
			a = b.poll(t, id, etag, "30s")
		}
		require.Equal(t, http.StatusOK, a.StatusCode)
		require.NotEqual(t, etag, a.Header.Get("ETag"))
		v := decode[httpapi.Backup](t, a)
		require.NotNil(t, v.VerifiedAt)
		require.NotEqual(t, was, v.VerifiedAt)
		all := b.follow(t, id, last).rest(t)
		require.Len(t, all, 3, "asked for, found, and the end")
		require.Contains(t, all[0].data, `"verifying":true`)
		require.Contains(t, all[1].data, `"verification":`)
		last = all[1].id
	}
}
