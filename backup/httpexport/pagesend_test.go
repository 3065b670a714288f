package httpexport_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/httpexport"
)

// TestPagesInCircles: loops of any length are found, whatever leads into them.
func TestPagesInCircles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ lead, length int }{{0, 1}, {0, 2}, {1, 1}, {2, 3}, {5, 7}, {20, 13}} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			t.Parallel()
			requests := 0
			p := serve(t, func(w http.ResponseWriter, r *http.Request) {
				requests++
				page, _ := strconv.Atoi(r.URL.Query().Get("page"))
				if page++; page == tt.lead+tt.length {
					page = tt.lead
				}
				w.Header().Set("X-Next", strconv.Itoa(page))
				_, _ = io.WriteString(w, "x")
			}, marked)
			e, err := p.Export(t.Context(), request())
			require.NoError(t, err)
			_, _, err = readPages(t, e)
			requireClass(t, backup.ClassPermanent, err)
			require.ErrorContains(t, err, "its next page is an earlier one")
			require.LessOrEqual(t, requests, 3*(tt.lead+tt.length)+2)
		})
	}
}

// TestPagesStartOver where a mark is of no use.
func TestPagesStartOver(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		mark string
		set  func(*httpexport.Config)
		asks int // how many requests come before the first page
	}{
		"forgotten":             {mark: "cursor:77", asks: 1},
		"of another form":       {mark: "link:/x?page=2"},
		"none":                  {mark: ""},
		"foreign":               {mark: "2"},
		"resuming is forbidden": {mark: "cursor:2", set: func(c *httpexport.Config) { c.NoResume = true }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &book{spoil: func(page int, w http.ResponseWriter, _ *http.Request) bool {
				if page >= 7 {
					w.WriteHeader(http.StatusGone)
				}
				return page >= 7
			}}
			p := serve(t, b.ServeHTTP, func(c *httpexport.Config) {
				marked(c)
				if tt.set != nil {
					tt.set(c)
				}
			})
			e, err := p.Export(t.Context(), resumeBehind(place{2 * pageSize, tt.mark}))
			require.NoError(t, err)
			require.Zero(t, e.Offset)
			got, places, err := readPages(t, e)
			require.NoError(t, err)
			require.Equal(t, content, got)
			require.Equal(t, tt.set != nil, len(places) == 0)
			require.Len(t, b.take(), b.pages()+tt.asks)
		})
	}
}

// TestPagesThatAreEmpty may come in any number.
func TestPagesThatAreEmpty(t *testing.T) {
	t.Parallel()
	const n = 300
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		if page < n {
			w.Header().Set("X-Next", strconv.Itoa(page+1))
		}
		w.Header().Set("Content-Type", "text/plain")
		if page%150 == 1 {
			_, _ = io.WriteString(w, content)
		}
	}, marked)
	e, err := p.Export(t.Context(), request())
	require.NoError(t, err)
	got, err := io.ReadAll(e.Body)
	require.NoError(t, err)
	require.Equal(t, content+content, string(got))
	require.NoError(t, e.Body.Close())
}

// TestPagesKeepTheCredential to the source itself, and out of the marks.
func TestPagesKeepTheCredential(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another host was asked, with %q", r.Header.Get("Authorization"))
	}))
	t.Cleanup(elsewhere.Close)
	b := &book{spoil: func(page int, w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "Bearer secret-of-u1" || r.URL.Query().Get("key") != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		if page == 4 {
			w.Header().Set("Link", "<"+elsewhere.URL+`>; rel="next"`)
		}
		return false
	}}
	p := serve(t, b.ServeHTTP, func(c *httpexport.Config) {
		linked(c)
		c.AllowedRedirectHosts = []string{host(t, elsewhere)}
		c.Authorize = func(ctx context.Context, r *http.Request, req *backup.ExportRequest) error {
			query := r.URL.Query()
			query.Set("key", "secret")
			r.URL.RawQuery = query.Encode()
			return bearer(ctx, r, req)
		}
	})
	e, err := p.Export(t.Context(), request())
	require.NoError(t, err)
	_, places, err := readPages(t, e)
	require.ErrorContains(t, err, "its next page is elsewhere")
	require.Len(t, places, 4)
	for _, at := range places {
		require.NotContains(t, at.mark, "secret")
	}
}

func TestCloseEndsTheWaitForAPage(t *testing.T) {
	t.Parallel()
	waiting := make(chan struct{})
	b := &book{spoil: func(page int, _ http.ResponseWriter, r *http.Request) bool {
		if page == 1 {
			close(waiting)
			<-r.Context().Done()
		}
		return page == 1
	}}
	e, err := serve(t, b.ServeHTTP, linked).Export(t.Context(), request())
	require.NoError(t, err)
	failed := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, e.Body)
		failed <- err
	}()
	<-waiting
	require.NoError(t, e.Body.Close())
	require.ErrorIs(t, <-failed, context.Canceled)
}

func TestPagesHaveNoSize(t *testing.T) {
	t.Parallel()
	b := &book{}
	size, err := serve(t, b.ServeHTTP, linked).Size(t.Context(), request())
	require.NoError(t, err)
	require.EqualValues(t, -1, size)
	require.Empty(t, b.take())
}
