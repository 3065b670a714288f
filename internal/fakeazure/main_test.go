package fakeazure_test

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sitebackup/sitebackup/backup/blob/azureblob"
	"github.com/sitebackup/sitebackup/internal/fakeazure"
)

const containerName = "bench"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve serves h, with TLS or without.
func serve(t *testing.T, h *fakeazure.Handler, secure bool) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// client is the SDK's client of the container of s.
func client(t *testing.T, s *httptest.Server) *container.Client {
	t.Helper()
	o := azureblob.ClientOptions()
	transport := o.Transport.(*http.Client).Transport.(*http.Transport)
	if cert := s.Certificate(); cert != nil {
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		transport.TLSClientConfig.RootCAs.AddCert(cert)
	}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := container.NewClientWithNoCredential(s.URL+"/account/"+containerName, o)
	require.NoError(t, err)
	return c
}

func newStore(t *testing.T, c *container.Client) *azureblob.Store {
	t.Helper()
	s, err := azureblob.New(c, &azureblob.Options{MaxRetries: -1})
	require.NoError(t, err)
	return s
}

// start serves a fake with one container, and returns what uses it.
func start(t *testing.T, opts *fakeazure.Options) (*fakeazure.Handler, *container.Client, *azureblob.Store) {
	t.Helper()
	opts.Containers = []string{containerName}
	h := fakeazure.New(opts)
	c := client(t, serve(t, h, false))
	return h, c, newStore(t, c)
}
