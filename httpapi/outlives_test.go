package httpapi_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/httpapi"
)

// endlessHeeding is an endless store that heeds its context, as the real ones do.
type endlessHeeding struct{ blob.Store }

func (*endlessHeeding) Open(ctx context.Context, _ string, _, length int64) (io.ReadCloser, error) {
	return io.NopCloser(heeding{ctx, io.LimitReader(zero{}, length)}), nil
}

type heeding struct {
	ctx context.Context
	io.Reader
}

func (r heeding) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.Reader.Read(p)
}

// A server's own timeouts, which are for requests, end no download that goes on.
func TestDownloadOutlivesTheServersTimeouts(t *testing.T) {
	t.Parallel()
	const size = 1 << 30
	b := setup(t, settings{store: &endlessHeeding{}})
	id := b.fake(t, size)
	handler, err := httpapi.NewHandler(b.client, nil)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(handler)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 300*time.Millisecond, 300*time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	res, err := http.Get(server.URL + "/backup/" + id + "/tasks/site/content")
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	tick := time.NewTicker(20 * time.Millisecond) // 64 of them, of 16 MiB each
	defer tick.Stop()
	var n int64
	for err == nil {
		var m int64
		m, err = io.CopyN(io.Discard, res.Body, 16<<20)
		n += m
		<-tick.C
	}
	require.ErrorIs(t, err, io.EOF, "after %d bytes", n)
	require.Equal(t, int64(size), n)
}
