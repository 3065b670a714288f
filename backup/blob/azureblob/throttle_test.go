package azureblob_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/azureblob"
)

// busy is a service that answers every request with status and header, and counts
// them by method, path and query.
type busy struct {
	*httptest.Server

	mu    sync.Mutex
	calls map[string]int
}

func newBusy(t *testing.T, status int, header map[string]string) *busy {
	b := &busy{calls: make(map[string]int)}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		b.mu.Lock()
		b.calls[r.Method+r.URL.Path+r.URL.Query().Get("comp")+r.URL.Query().Get("blocklisttype")]++
		b.mu.Unlock()
		for k, v := range header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(b.Close)
	return b
}

// A store that is throttled for long gives up at once, and says how long to wait;
// one that is not told how long tries a few times.
func TestThrottled(t *testing.T) {
	t.Parallel()
	soon := time.Now().Add(10 * time.Minute).UTC().Format(http.TimeFormat)
	for name, c := range map[string]struct {
		status int
		header map[string]string
		least  time.Duration
		most   time.Duration
		tries  int
	}{
		"503 in seconds":  {503, map[string]string{"Retry-After": "120"}, 2 * time.Minute, 2 * time.Minute, 1},
		"429 in seconds":  {429, map[string]string{"Retry-After": "31"}, 31 * time.Second, 31 * time.Second, 1},
		"503 by a date":   {503, map[string]string{"Retry-After": soon}, 9 * time.Minute, 10 * time.Minute, 1},
		"milliseconds":    {503, map[string]string{"x-ms-retry-after-ms": "45000", "Retry-After": "7"}, 45 * time.Second, 45 * time.Second, 1},
		"500 busy":        {500, map[string]string{"x-ms-error-code": "ServerBusy", "Retry-After": "60"}, time.Minute, time.Minute, 1},
		"a year":          {503, map[string]string{"Retry-After": "31536000"}, 7 * 24 * time.Hour, 7 * 24 * time.Hour, 1},
		"503":             {503, nil, 0, 0, 3},
		"429":             {429, map[string]string{"Retry-After": "0"}, 0, 0, 3},
		"nonsense":        {503, map[string]string{"Retry-After": "soon"}, 0, 0, 3},
		"negative":        {503, map[string]string{"Retry-After": "-5"}, 0, 0, 3},
		"more than fits":  {503, map[string]string{"Retry-After": "99999999999999999999"}, 0, 0, 3},
		"a date long ago": {503, map[string]string{"Retry-After": "Mon, 02 Jan 2006 15:04:05 GMT"}, 0, 0, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newBusy(t, c.status, c.header)
			o := quick()
			o.MaxRetries = 2
			if c.tries == 1 {
				o.MaxRetryDelay = 30 * time.Second
			}
			for call, err := range everyCall(t.Context(), elsewhere(t, server.URL, o)) {
				var throttled *blob.ThrottledError
				require.ErrorAs(t, err, &throttled, call)
				require.GreaterOrEqual(t, throttled.After, c.least, call)
				require.LessOrEqual(t, throttled.After, c.most, call)
				var answer *azureblob.Error
				require.ErrorAs(t, err, &answer, call)
				require.Equal(t, c.status, answer.Status)
				require.ErrorContains(t, err, "azure says "+strconv.Itoa(c.status))
				require.NotContains(t, err.Error(), "SECRET", call)
			}
			require.NotEmpty(t, server.calls)
			for call, n := range server.calls {
				require.Equal(t, c.tries, n, call)
			}
		})
	}
}

// Other answers that may pass aren't throttling.
func TestOtherFailuresAreNotThrottling(t *testing.T) {
	t.Parallel()
	for status, tries := range map[int]int{500: 2, 502: 2, 504: 2, 408: 2, 403: 1, 400: 1} {
		server := newBusy(t, status, map[string]string{"Retry-After-Ms": "1"})
		o := quick()
		o.MaxRetries = 1
		for call, err := range everyCall(t.Context(), elsewhere(t, server.URL, o)) {
			var throttled *blob.ThrottledError
			require.Error(t, err, call)
			require.NotErrorAs(t, err, &throttled, call)
		}
		for call, n := range server.calls {
			require.Equal(t, tries, n, "%d: %s", status, call)
		}
	}
}

// A pause that would last longer than the call may is of no use: it would only
// make "no answer" of what was a clear one.
func TestNoPauseBeyondTheDeadline(t *testing.T) {
	t.Parallel()
	for _, header := range []map[string]string{{"Retry-After": "20"}, nil} {
		server := newBusy(t, 503, header)
		o := &azureblob.Options{OpTimeout: 10 * time.Second, StageTimeout: 10 * time.Second, RetryDelay: 20 * time.Second}
		start := time.Now()
		for call, err := range everyCall(t.Context(), elsewhere(t, server.URL, o)) {
			var throttled *blob.ThrottledError
			require.ErrorAs(t, err, &throttled, call)
		}
		require.Less(t, time.Since(start), 10*time.Second)
	}
}

// A short pause is the store's own affair.
func TestShortPause(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if n.Add(1) < 4 {
			w.Header().Set("x-ms-retry-after-ms", "5")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(server.Close)
	data := []byte("x")
	part := blob.Part{ID: blob.NewPartID(uploadID, token, 0), Size: 1, CRC64: blob.Checksum(data)}
	require.NoError(t, elsewhere(t, server.URL, quick()).StagePart(t.Context(), "a", part, data))
	require.EqualValues(t, 4, n.Load())
}

// Through the engine: what a caller of package blob is told.
func TestThrottledUpload(t *testing.T) {
	t.Parallel()
	server := newBusy(t, 503, map[string]string{"Retry-After": "90"})
	s := elsewhere(t, server.URL, nil)
	check := func(err error) {
		t.Helper()
		var store *blob.StoreError
		require.ErrorAs(t, err, &store)
		var throttled *blob.ThrottledError
		require.ErrorAs(t, err, &throttled)
		require.Equal(t, 90*time.Second, throttled.After)
		require.ErrorContains(t, err, "it asks to wait 1m30s")
	}
	o := &blob.UploadOptions{UploadID: uploadID, Token: token, PartSize: 64 << 10}
	_, err := blob.Stage(t.Context(), s, "a", io.NopCloser(io.LimitReader(zeros{}, 10<<20)), o)
	check(err)
	check(blob.Commit(t.Context(), s, "a", uploadID, &blob.Content{}, ""))
	check(blob.Put(t.Context(), s, "a", []byte("x"), "", nil))
	part := blob.Part{ID: blob.NewPartID(uploadID, token, 0), Size: 1}
	_, err = blob.Resumable(t.Context(), s, "a", &blob.Checkpoint{Parts: []blob.Part{part}, Offset: 1})
	check(err)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
