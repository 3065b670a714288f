package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
	"github.com/sitebackup/sitebackup/internal/memblob"
)

// One credential can't take all event streams, and has its share again when one
// of its own has ended.
func TestStreamsPerCaller(t *testing.T) {
	t.Parallel()
	options, secrets := authorize(t, httpapi.Token{Name: "greedy", Scopes: httpapi.ScopeRead | httpapi.ScopeWrite}, httpapi.Token{Name: "other", Scopes: httpapi.ScopeRead})
	options.Streams = httpapi.Streams{Max: 3, MaxPerCaller: 2}
	b := setup(t, settings{options: options, watch: true})
	greedy, other := b.as(secrets["greedy"]), b.as(secrets["other"])
	id := greedy.startOne(t)
	first := greedy.follow(t, id, 0)
	greedy.follow(t, id, 0)
	refused := greedy.open(t, id, 0).res
	require.Equal(t, http.StatusTooManyRequests, refused.StatusCode)
	require.NotEmpty(t, refused.Header.Get("Retry-After"))
	other.follow(t, id, 0)
	require.Equal(t, http.StatusServiceUnavailable, other.open(t, id, 0).res.StatusCode, "the server's own bound")
	first.stop()
	eventually(t, func() bool { return greedy.open(t, id, 0).res.StatusCode == http.StatusOK })
}

// What lasts as long as its client likes is counted, and isn't among the durations.
func TestMetricsOfStreams(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{store: memblob.New(), exports: exports(), watch: true})
	text := func() string { return string(b.get(t, "/metrics").body) }
	id := b.done(t).ID
	require.Equal(t, http.StatusOK, b.get(t, "/backup/"+id+"/tasks/site/content").StatusCode)
	s := b.follow(t, id, 0)
	s.rest(t)
	etag := b.get(t, "/backup/"+id).Header.Get("ETag")
	answers := make(chan answer, 1)
	go func() { answers <- b.poll(t, id, etag, "30s") }()
	eventually(t, func() bool {
		return strings.Contains(text(), `sitebackup_http_open_streams{kind="longPoll"} 1`)
	})
	require.Equal(t, http.StatusAccepted, b.verb(t, http.MethodPost, id, "/verify", "").StatusCode)
	require.Equal(t, http.StatusOK, (<-answers).StatusCode)
	eventually(t, func() bool {
		all := text()
		for _, line := range []string{
			`sitebackup_http_open_streams{kind="longPoll"} 0`, `sitebackup_http_open_streams{kind="events"} 0`, `sitebackup_http_open_streams{kind="download"} 0`,
			`sitebackup_http_streams_total{operation="getBackup",status="200"} 1`,
			`sitebackup_http_streams_total{operation="streamBackupEvents",status="200"} 1`,
		} {
			if !strings.Contains(all, line+"\n") {
				return false
			}
		}
		return true
	})
	require.Regexp(t, `sitebackup_http_streams_total\{operation="[A-Za-z]*Content",status="200"\} 1`, text())
	require.NotContains(t, text(), `duration_seconds_count{operation="streamBackupEvents",status="200"}`)
}
