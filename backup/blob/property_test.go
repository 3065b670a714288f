package blob_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/blobtest"
)

// Streams of any length, read in any steps, cut anywhere, staged by a store that
// fails now and then, and gone on with by one worker after the other, come out
// whole.
func TestAnyUploadComesOutWhole(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			data := patternBytes(r.IntN(60_000))
			f := blobtest.NewFaulty(newMemStore())
			content := uploadInAttempts(t, r, f, data)
			requireContent(t, content, data)
			requireCommits(t, r, f, content, data)
		})
	}
}

// uploadInAttempts uploads data until an attempt comes to the end.
func uploadInAttempts(t *testing.T, r *rand.Rand, f *blobtest.Faulty, data []byte) *blob.Content {
	t.Helper()
	first := int64(1 + r.IntN(3000))
	var resume *blob.Checkpoint
	for attempt := byte(1); ; attempt++ {
		require.Less(t, int(attempt), 200, "no attempt comes to the end")
		ok, err := blob.Resumable(t.Context(), f, key, resume)
		require.NoError(t, err)
		require.True(t, ok, "what was journaled isn't staged")
		o := options()
		o.Token[15], o.Token[0] = attempt, attempt
		o.Concurrency = 1 + r.IntN(6)
		o.Resume = resume
		j := record(t, o)
		o.JournalBytes = int64(r.IntN(10_000))
		offset := int64(0)
		if resume != nil {
			offset = resume.Offset
		}
		c, err := blob.StageSized(t.Context(), f, key, chaos(r, f, data[offset:]), o, first)
		if err == nil {
			return c
		}
		if j.last() != nil {
			resume = j.last()
		}
	}
}

// chaos makes a body of data that may be cut, and a store that may fail.
func chaos(r *rand.Rand, f *blobtest.Faulty, data []byte) *script {
	body := &script{data: data, step: 1 + r.IntN(5000), err: io.EOF, together: r.IntN(2) == 0}
	if r.IntN(2) == 0 {
		body.data, body.err = data[:r.IntN(len(data)+1)], io.ErrUnexpectedEOF
	}
	if r.IntN(3) == 0 {
		f.Fail(blobtest.OpStagePart, 1+r.IntN(20), errDisk)
	}
	if r.IntN(3) == 0 {
		f.Lose(blobtest.OpStagePart, 1+r.IntN(20), errDisk)
	}
	return body
}

// requireCommits commits through a store that may fail, until it succeeds.
func requireCommits(t *testing.T, r *rand.Rand, f *blobtest.Faulty, c *blob.Content, data []byte) {
	t.Helper()
	for _, op := range []blobtest.Op{blobtest.OpCommit, blobtest.OpStat, blobtest.OpCommittedParts} {
		if r.IntN(2) == 0 {
			f.Lose(op, 1+r.IntN(2), errDisk)
		}
	}
	for try := 0; ; try++ {
		require.Less(t, try, 10)
		err := commit(t.Context(), f, c)
		if err == nil {
			break
		}
		require.True(t, errors.Is(err, errDisk), err)
	}
	requireObject(t, f, data)
}
