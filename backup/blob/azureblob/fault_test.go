package azureblob_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/azureblob"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

// The answer of the commit is lost, so that the SDK sends it again and is told
// that a blob is there: ours.
func TestLostAnswerOfCommit(t *testing.T) {
	t.Parallel()
	var commits atomic.Int32
	w := &wire{after: func(req *http.Request, resp *http.Response) (*http.Response, error) {
		if req.URL.Query().Get("comp") == "blocklist" && req.Method == http.MethodPut && commits.Add(1) == 1 {
			resp.Body.Close()
			return nil, syscall.ECONNRESET
		}
		return resp, nil
	}}
	s := open(t, w, quick())
	data := letters(100_000)
	o := &blob.UploadOptions{UploadID: uploadID, Token: token, PartSize: 64 << 10}
	c, err := blob.Stage(t.Context(), s, "a", io.NopCloser(strings.NewReader(string(data))), o)
	require.NoError(t, err)
	require.NoError(t, blob.Commit(t.Context(), s, "a", uploadID, c, ""))
	require.EqualValues(t, 2, commits.Load())
	requireObject(t, s, "a", data)
}

// Answers that may pass are waited for.
func TestRetries(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	w := &wire{before: func(req *http.Request) (*http.Response, error) {
		switch n.Add(1) {
		case 1:
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: http.NoBody, Header: http.Header{}, Request: req}, nil
		case 2:
			return nil, syscall.ECONNREFUSED
		}
		return nil, nil
	}}
	s := open(t, w, quick())
	put(t, s, "a", []byte("x"))
	require.EqualValues(t, 4, n.Load())
	requireObject(t, s, "a", []byte("x"))
}

// A body whose connection breaks is gone on with, from the same blob.
func TestOpenGoesOnAfterABreak(t *testing.T) {
	t.Parallel()
	var gets, matched atomic.Int32
	w := &wire{after: func(req *http.Request, resp *http.Response) (*http.Response, error) {
		if req.Method == http.MethodGet && req.URL.Query().Get("comp") == "" {
			if gets.Add(1) <= 2 {
				resp.Body = &cutBody{ReadCloser: resp.Body, left: 30_000}
			}
			if req.Header.Get("If-Match") != "" {
				matched.Add(1)
			}
		}
		return resp, nil
	}}
	s := open(t, w, quick())
	data := letters(100_000)
	put(t, s, "a", data)
	requireObject(t, s, "a", data)
	require.EqualValues(t, 3, gets.Load())
	require.EqualValues(t, 2, matched.Load())
}

// When it breaks for good, that must not look like the end.
func TestOpenReportsABreak(t *testing.T) {
	t.Parallel()
	w := &wire{after: func(req *http.Request, resp *http.Response) (*http.Response, error) {
		if req.Method == http.MethodGet {
			resp.Body = &cutBody{ReadCloser: resp.Body}
		}
		return resp, nil
	}}
	s := open(t, w, quick())
	put(t, s, "a", letters(1000))
	body, err := s.Open(t.Context(), "a", 0, -1)
	require.NoError(t, err)
	defer body.Close()
	_, err = io.ReadAll(body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)

	// Nor when the connection ends as if all had come.
	w.after = func(req *http.Request, resp *http.Response) (*http.Response, error) {
		if req.Method == http.MethodGet {
			resp.Body = &cutBody{ReadCloser: resp.Body, left: 999, err: io.EOF}
		}
		return resp, nil
	}
	body, err = s.Open(t.Context(), "a", 0, -1)
	require.NoError(t, err)
	defer body.Close()
	_, err = io.ReadAll(body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

type cutBody struct {
	io.ReadCloser
	left int
	err  error
}

func (c *cutBody) Read(p []byte) (int, error) {
	if c.left == 0 {
		if c.err != nil {
			return 0, c.err
		}
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.ReadCloser.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// elsewhere makes a store of an address that isn't Azure's, with a signature.
func elsewhere(t *testing.T, address string, opts *azureblob.Options) *azureblob.Store {
	t.Helper()
	client, err := container.NewClientWithNoCredential(address+"/account/container?sv=1&sig=SECRET", azureblob.ClientOptions())
	require.NoError(t, err)
	return newStore(t, client, opts)
}

// everyCall calls all methods of a store.
func everyCall(ctx context.Context, s *azureblob.Store) map[string]error {
	data := []byte("x")
	part := blob.Part{ID: blob.NewPartID(uploadID, token, 0), Size: 1, CRC64: blob.Checksum(data)}
	_, staged := s.StagedParts(ctx, "a")
	_, committed := s.CommittedParts(ctx, "a")
	_, opened := s.Open(ctx, "a", 0, -1)
	_, found := s.Stat(ctx, "a")
	calls := map[string]error{
		"StagePart": s.StagePart(ctx, "a", part, data), "StagedParts": staged,
		"Commit": s.Commit(ctx, "a", nil, blob.Info{}), "CommittedParts": committed,
		"Open": opened, "Stat": found, "Delete": s.Delete(ctx, "a"), "Check": s.Check(ctx),
	}
	for _, err := range s.List(ctx, "") {
		calls["List"] = err
	}
	return calls
}

// A service that takes requests and never answers holds up no call for longer
// than its deadline.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-done:
		}
	}))
	defer server.Close()
	defer close(done)
	s := elsewhere(t, server.URL, &azureblob.Options{OpTimeout: 50 * time.Millisecond, StageTimeout: 50 * time.Millisecond})
	for call, err := range everyCall(t.Context(), s) {
		require.ErrorContains(t, err, "no answer in time", call)
		require.NotContains(t, err.Error(), "SECRET", call)
	}

	// The caller's own end is told from that.
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("lease lost")
	cancel(over)
	s = elsewhere(t, server.URL, nil)
	for call, err := range everyCall(ctx, s) {
		require.ErrorIs(t, err, over, call)
	}
}

// A service that stops in the middle of a body holds up no Read for longer, either.
func TestBodyStops(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Header().Set("ETag", `"x"`)
		_, _ = w.Write(letters(500))
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-done:
		}
	}))
	defer server.Close()
	defer close(done)
	s := elsewhere(t, server.URL, &azureblob.Options{OpTimeout: 200 * time.Millisecond, MaxRetries: -1})
	body, err := s.Open(t.Context(), "a", 0, -1)
	require.NoError(t, err)
	defer body.Close()
	data, err := io.ReadAll(body)
	require.ErrorContains(t, err, "no answer in time")
	require.Equal(t, letters(500), data)
}

// Without a length nothing tells the end of a blob from a cut.
func TestOpenWithoutLength(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"x"`)
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(letters(1000))
	}))
	defer server.Close()
	s := elsewhere(t, server.URL, quick())
	_, err := s.Open(t.Context(), "a", 0, -1)
	require.ErrorContains(t, err, "has no length")
	body, err := s.Open(t.Context(), "a", 0, 1000)
	require.NoError(t, err)
	defer body.Close()
	data, err := io.ReadAll(body)
	require.NoError(t, err)
	require.Equal(t, letters(1000), data)
}

// No error shows the signature in the URL.
func TestErrorsShowNoSignature(t *testing.T) {
	t.Parallel()
	const address = "http://127.0.0.1:1" // a port that no program is given
	o := quick()
	o.MaxRetries = -1
	s := elsewhere(t, address, o)
	require.Equal(t, address+"/account/container", s.String())
	for call, err := range everyCall(t.Context(), s) {
		require.ErrorIs(t, err, syscall.ECONNREFUSED, call)
		for ; err != nil; err = errors.Unwrap(err) {
			require.NotContains(t, err.Error(), "SECRET", call)
			require.NotContains(t, err.Error(), "\n", call)
		}
	}

	denied := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-ms-error-code", "AuthenticationFailed")
		w.Header().Set("x-ms-request-id", "0123")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<Error>\n"+r.URL.String()+"</Error>")
	}))
	defer denied.Close()
	s = elsewhere(t, denied.URL, o)
	for call, err := range everyCall(t.Context(), s) {
		require.ErrorContains(t, err, "azure says 403 AuthenticationFailed (request 0123): the credential is wrong or expired", call)
		for ; err != nil; err = errors.Unwrap(err) {
			require.NotContains(t, err.Error(), "SECRET", call)
			require.NotContains(t, err.Error(), "\n", call)
		}
	}
}

// A service may answer before it has read a part. Nobody may read the part's
// memory when StagePart has returned: it holds another part by then.
func TestStagePartLeavesItsMemory(t *testing.T) {
	t.Parallel()
	var reader io.Reader
	w := &wire{before: func(req *http.Request) (*http.Response, error) {
		if req.Method != http.MethodPut {
			return nil, nil
		}
		reader = req.Body // which a transport goes on to read
		return &http.Response{StatusCode: http.StatusForbidden, Body: http.NoBody, Header: http.Header{}, Request: req}, nil
	}}
	s := newStore(t, signed(t, envtest.AzuriteContainer(t), w), quick())
	data := letters(1000)
	part := blob.Part{ID: blob.NewPartID(uploadID, token, 0), Size: 1000, CRC64: blob.Checksum(data)}
	require.Error(t, s.StagePart(t.Context(), "a", part, data))
	n, err := reader.Read(make([]byte, 10))
	require.Zero(t, n)
	require.ErrorContains(t, err, "request has ended")
}
