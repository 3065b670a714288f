package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
	"github.com/sitebackup/sitebackup/internal/memblob"
)

// signing is a store that can sign, as long as it isn't broken.
type signing struct {
	*memblob.Store
	broken atomic.Bool
	signed atomic.Int64
}

const signature = "s1gn4tur3"

func (s *signing) SignURL(_ context.Context, key string, _ time.Duration) (string, error) {
	if s.broken.Load() {
		return "", errors.New("no key to sign with")
	}
	s.signed.Add(1)
	return "https://store.example.com/" + key + "?se=expiry&sig=" + signature, nil
}

// A signed URL is a credential: only who may see the backup gets it, in the one
// header it belongs in, and no log has it.
func TestContentRedirectLeaksNothing(t *testing.T) {
	t.Parallel()
	options, secrets := authorize(t, httpapi.Token{Name: "mine", Scopes: readWrite, Users: []string{"u"}}, httpapi.Token{Name: "other", Scopes: readWrite, Users: []string{"o"}})
	store := &signing{Store: memblob.New()}
	b := setup(t, settings{store: store, exports: exports(), options: options})
	mine, other := b.as(secrets["mine"]), b.as(secrets["other"])
	path := "/backup/" + mine.done(t).ID + "/tasks/site/content?redirect=true"
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		a := mine.do(t, method, path, "", nil)
		require.Equal(t, http.StatusTemporaryRedirect, a.StatusCode)
		u, err := url.Parse(a.Header.Get("Location"))
		require.NoError(t, err)
		require.Equal(t, signature, u.Query().Get("sig"))
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
		require.Equal(t, "no-referrer", a.Header.Get("Referrer-Policy"))
		require.Empty(t, a.body)

		n := store.signed.Load()
		for who, status := range map[*bundle]int{other: 404, b: 401} {
			a = who.do(t, method, path, "", nil)
			require.Equal(t, status, a.StatusCode)
			require.Empty(t, a.Header.Get("Location"))
			require.NotContains(t, string(a.body), "store.example.com")
		}
		require.Equal(t, n, store.signed.Load(), "nothing is signed for them")
	}
	store.broken.Store(true)
	p := requireProblem(t, mine.get(t, path), 503, httpapi.CodeUnavailable)
	require.Equal(t, "The store can't be read at the moment. Please try again.", p.Detail)
	require.Contains(t, b.log.String(), "/tasks/site/content", "it is logged")
	for _, secret := range []string{signature, "store.example.com", "redirect=true"} {
		require.NotContains(t, b.log.String(), secret)
	}
}
