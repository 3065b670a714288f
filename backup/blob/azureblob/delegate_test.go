package azureblob_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob/azureblob"
)

// identity is a token credential.
type identity struct{}

func (identity) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "the-token", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// A URL is signed with a key that Azure gave to the client's identity, which is asked
// for once, and again when what is to be signed would outlive it.
func TestSignURLByDelegation(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	var refuse atomic.Bool
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var info struct{ Start, Expiry string }
		if refuse.Load() || r.Header.Get("Authorization") != "Bearer the-token" || r.URL.Query().Get("comp") != "userdelegationkey" || xml.NewDecoder(r.Body).Decode(&info) != nil {
			w.Header().Set("x-ms-error-code", "AuthorizationPermissionMismatch")
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/xml")
		_, _ = fmt.Fprintf(w, `<?xml version="1.0"?><UserDelegationKey><SignedOid>oid</SignedOid><SignedTid>tid</SignedTid><SignedStart>%s</SignedStart>`+
			`<SignedExpiry>%s</SignedExpiry><SignedService>b</SignedService><SignedVersion>2025-11-05</SignedVersion><Value>a2V5LSVk</Value></UserDelegationKey>`, info.Start, info.Expiry)
		asked.Add(1)
	}))
	t.Cleanup(server.Close)
	core := policy.ClientOptions{Transport: server.Client()}
	svc, err := service.NewClient(server.URL, identity{}, &service.ClientOptions{ClientOptions: core})
	require.NoError(t, err)
	client, err := container.NewClient(server.URL+"/exports", identity{}, &container.ClientOptions{ClientOptions: core})
	require.NoError(t, err)
	opts := quick()
	opts.Service = svc
	s := newStore(t, client, opts)

	var all sync.WaitGroup
	signed := make([]string, 20)
	for i := range signed {
		all.Go(func() {
			u, err := s.SignURL(t.Context(), "user/si%2Fte/a", 5*time.Minute)
			if err == nil {
				signed[i] = u
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, asked.Load(), "one key serves them all")
	for _, raw := range signed {
		u, err := url.Parse(raw)
		require.NoError(t, err)
		require.Equal(t, "/exports/user/si%252Fte/a", u.EscapedPath())
		q := u.Query()
		require.Equal(t, []string{"oid", "tid", "b", "b", "r", "https"}, []string{q.Get("skoid"), q.Get("sktid"), q.Get("sks"), q.Get("sr"), q.Get("sp"), q.Get("spr")})
		require.NotEmpty(t, q.Get("sig"))
		until, err := time.Parse(time.RFC3339, q.Get("se"))
		require.NoError(t, err)
		require.WithinDuration(t, time.Now().Add(5*time.Minute), until, time.Minute)
		of, err := time.Parse(time.RFC3339, q.Get("ske"))
		require.NoError(t, err)
		require.False(t, until.After(of), "the key lives longer than the URL")
	}

	_, err = s.SignURL(t.Context(), "a", 25*time.Hour)
	require.ErrorContains(t, err, "can't be valid for more than 24h0m0s")
	refuse.Store(true)
	_, err = s.SignURL(t.Context(), "a", 5*time.Minute)
	require.NoError(t, err, "the key is still good")
	fresh := newStore(t, client, opts)
	_, err = fresh.SignURL(t.Context(), "a", 5*time.Minute)
	require.ErrorContains(t, err, "Storage Blob Delegator")
	require.NotErrorIs(t, err, errors.ErrUnsupported)
	require.NotContains(t, err.Error(), "the-token")

	_, err = azureblob.New(client, nil)
	require.NoError(t, err)
	_, err = newStore(t, client, quick()).SignURL(t.Context(), "a", time.Minute)
	require.ErrorIs(t, err, errors.ErrUnsupported)
}
