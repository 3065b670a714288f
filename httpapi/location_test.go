package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
)

// Wherever a host mounts the API, what was started is found at the Location.
func TestLocationBelowAPrefix(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	whole, err := httpapi.NewHandler(b.client, nil)
	require.NoError(t, err)
	mux := http.NewServeMux()
	httpapi.Register(huma.NewGroup(humago.New(mux, huma.DefaultConfig("Host", "1")), "/v1"), b.client, nil)
	mux.Handle("/stripped/", http.StripPrefix("/stripped", whole))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	mounted := *b
	mounted.url = server.URL
	for _, prefix := range []string{"/v1", "/stripped"} {
		a := mounted.do(t, http.MethodPost, prefix+"/backup?x=y", "application/json", strings.NewReader(start))
		require.Equal(t, http.StatusAccepted, a.StatusCode, "%s", a.body)
		id := decode[httpapi.Backup](t, a).ID
		require.Equal(t, prefix+"/backup/"+id, a.Header.Get("Location"))
		require.Equal(t, id, decode[httpapi.Backup](t, mounted.get(t, a.Header.Get("Location"))).ID)
	}
}
