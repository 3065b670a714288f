package export_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

func TestFaultsOfTheBody(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault  string
		length int64 // announced
		got    int   // bytes that arrive
		cut    bool
		h2     bool
	}{
		"none":            {length: size, got: size},
		"cut":             {fault: "cut=70000", length: size, got: 70000, cut: true},
		"cut, h2":         {fault: "cut=70000", length: size, got: 70000, cut: true, h2: true},
		"cut at once":     {fault: "cut=0", length: size, cut: true},
		"chunked":         {fault: "framing=chunked", length: -1, got: size},
		"chunked, cut":    {fault: "framing=chunked,cut=70000", length: -1, got: 70000, cut: true},
		"cut at its end":  {fault: "framing=chunked,cut=100000", length: -1, got: size, cut: true},
		"no framing":      {fault: "framing=close", length: -1, got: size},
		"no framing, cut": {fault: "framing=close,cut=70000", length: -1, got: 70000}, // nobody can tell
		"too long":        {fault: "extra=1", length: size + 1, got: size, cut: true},
		"empty":           {fault: "empty", length: 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := setup(t, export.Options{})
			if tt.h2 {
				a.server.StartTLS()
			} else {
				a.server.Start()
			}
			resp, body, err := a.get(t, "/export/u/s?fault="+tt.fault)
			require.Equal(t, http.StatusOK, resp.StatusCode)
			require.Equal(t, tt.length, resp.ContentLength)
			require.Equal(t, a.want[:tt.got], append([]byte{}, body...))
			require.Equal(t, tt.cut, err != nil, "%v", err)
			require.EqualValues(t, tt.got, a.Stats().Bytes)
		})
	}
}

func TestFaultsInsteadOfTheExport(t *testing.T) {
	t.Parallel()
	a := setup(t, export.Options{})
	a.server.Start()
	resp, _, err := a.get(t, "/export/u/s?fault=status=429,retry-after=7")
	require.NoError(t, err)
	require.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
	require.Equal(t, "7", resp.Header.Get("Retry-After"))

	resp, body, err := a.get(t, "/export/u/s?fault=html")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Contains(t, resp.Header.Get("Content-Type"), "text/html")
	require.Contains(t, string(body), "Log in")

	resp, body, err = a.get(t, "/export/u/s?fault=status=204")
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	require.Empty(t, body)

	resp, _, err = a.get(t, "/export/u/s?fault=nonsense")
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	require.Zero(t, a.Stats().Bytes)
}

func TestFaultsOfTheValidator(t *testing.T) {
	t.Parallel()
	a := setup(t, export.Options{})
	a.server.Start()
	tag := func(fault string) string {
		resp, _, err := a.get(t, "/export/u/s?fault="+fault)
		require.NoError(t, err)
		return resp.Header.Get("ETag")
	}
	strong := tag("")
	require.Equal(t, "W/"+strong, tag("etag=weak"))
	require.Empty(t, tag("etag=none"))
	require.NotEqual(t, strong, tag("version=2"))
	require.Equal(t, tag("version=2"), tag("version=2"))
	require.NotEqual(t, tag("changing"), tag("changing"))

	resp, body, err := a.get(t, "/export/u/s?fault=norange", "Range", "bytes=5-", "If-Range", strong)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, a.want, body)
}

func TestTimesAndBehaviorCountRequestsOfASite(t *testing.T) {
	t.Parallel()
	a := setup(t, export.Options{Behavior: func(_ *http.Request, n int) export.Fault {
		if n == 2 {
			return export.Fault{Status: http.StatusTeapot}
		}
		return export.Fault{Status: http.StatusBadGateway, Times: 3}
	}})
	a.server.Start()
	for _, want := range []int{502, 418, 502, 200} {
		resp, _, err := a.get(t, "/export/u/s")
		require.NoError(t, err)
		require.Equal(t, want, resp.StatusCode)
	}
	resp, _, err := a.get(t, "/export/u/another")
	require.NoError(t, err)
	require.Equal(t, http.StatusBadGateway, resp.StatusCode)
}

func TestStallLastsUntilTheClientGoesAway(t *testing.T) {
	t.Parallel()
	a := setup(t, export.Options{Fault: export.Fault{Stall: true, After: 70_000}})
	a.server.Start()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.server.URL+"/export/u/s", http.NoBody)
	require.NoError(t, err)
	resp, err := a.server.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.ReadFull(resp.Body, make([]byte, 70_000))
	require.NoError(t, err)
	read := make(chan error)
	go func() {
		_, err := resp.Body.Read(make([]byte, 1))
		read <- err
	}()
	select {
	case err := <-read:
		require.Fail(t, "read returned", "%v", err)
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	require.ErrorIs(t, <-read, context.Canceled)
	a.server.Close() // waits for the handler to return
	require.EqualValues(t, 70_000, a.Stats().Bytes)
}

func TestSlowResponsesComePieceByPiece(t *testing.T) {
	t.Parallel()
	a := setup(t, export.Options{Fault: export.Fault{Rate: 400_000, Latency: time.Millisecond}})
	a.server.Start()
	timer := time.NewTimer(150 * time.Millisecond)
	_, body, err := a.get(t, "/export/u/s")
	require.NoError(t, err)
	require.Equal(t, a.want, body)
	select {
	case <-timer.C:
	default:
		require.Fail(t, "5 pieces, 50 ms between them, took less than 150 ms")
	}
}
