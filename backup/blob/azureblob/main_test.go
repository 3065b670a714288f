package azureblob_test

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/azureblob"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

func TestMain(m *testing.M) { envtest.Main(m) }

// open makes a store of a container of the test's own. client's transport, if
// any, sees its requests.
func open(t *testing.T, transport *wire, opts *azureblob.Options) *azureblob.Store {
	t.Helper()
	admin := envtest.AzuriteContainer(t)
	return newStore(t, signed(t, admin, transport), opts)
}

func newStore(t *testing.T, client *container.Client, opts *azureblob.Options) *azureblob.Store {
	t.Helper()
	s, err := azureblob.New(client, opts)
	require.NoError(t, err)
	return s
}

// signed makes a client whose URL has a signature for all that a store does.
func signed(t *testing.T, admin *container.Client, transport *wire) *container.Client {
	t.Helper()
	u, err := admin.GetSASURL(sas.ContainerPermissions{Read: true, Write: true, Create: true, Delete: true, List: true}, time.Now().Add(time.Hour), nil)
	require.NoError(t, err)
	o := azureblob.ClientOptions()
	if transport != nil {
		o.Transport = transport
	}
	client, err := container.NewClientWithNoCredential(u, o)
	require.NoError(t, err)
	return client
}

// wire is a transport on which things happen.
type wire struct {
	// before is called with each request. It may answer it.
	before func(*http.Request) (*http.Response, error)
	// after is called with each answer. It may change it.
	after func(*http.Request, *http.Response) (*http.Response, error)
}

func (w *wire) Do(req *http.Request) (*http.Response, error) {
	if w.before != nil {
		if resp, err := w.before(req); resp != nil || err != nil {
			return resp, err
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err == nil && w.after != nil {
		return w.after(req, resp)
	}
	return resp, err
}

// quick is options with which retries don't take long.
func quick() *azureblob.Options {
	return &azureblob.Options{RetryDelay: time.Millisecond, MaxRetryDelay: 10 * time.Millisecond}
}

var (
	uploadID = [16]byte{1, 2, 3}
	token    = [16]byte{4, 5, 6}
)

func stage(t *testing.T, s blob.Store, key string, data []byte) []blob.Part {
	t.Helper()
	part := blob.Part{ID: blob.NewPartID(uploadID, token, 0), Size: int64(len(data)), CRC64: blob.Checksum(data)}
	require.NoError(t, s.StagePart(t.Context(), key, part, data))
	return []blob.Part{part}
}

func put(t *testing.T, s blob.Store, key string, data []byte) {
	t.Helper()
	require.NoError(t, s.Commit(t.Context(), key, stage(t, s, key, data), blob.Info{}))
}

func letters(n int) []byte {
	return bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog "), n/44+1)[:n]
}
