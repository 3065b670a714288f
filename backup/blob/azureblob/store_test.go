package azureblob_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/azureblob"
	"github.com/sitebackup/sitebackup/backup/blob/blobtest"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	client := envtest.AzuriteContainer(t)
	t.Run("all", func(t *testing.T) {
		blobtest.Run(t, func(t *testing.T) blob.Store { return newStore(t, client, nil) })
	})
}

// The same with a signature for a credential.
func TestConformanceWithSignature(t *testing.T) {
	t.Parallel()
	client := envtest.AzuriteContainer(t)
	t.Run("all", func(t *testing.T) {
		blobtest.Run(t, func(t *testing.T) blob.Store { return newStore(t, signed(t, client, nil), nil) })
	})
	for obj, err := range newStore(t, client, nil).List(t.Context(), "") {
		require.NoError(t, err)
		t.Errorf("%s is left", obj.Key)
	}
}

func TestNewNeedsAClient(t *testing.T) {
	t.Parallel()
	_, err := azureblob.New(nil, nil)
	require.ErrorContains(t, err, "client must not be nil")
}

// A whole upload, interrupted once.
func TestUpload(t *testing.T) {
	t.Parallel()
	s := open(t, nil, nil)
	const key = "user/site/backup/db/upload"
	data := letters(5<<20 + 4321)
	var resume blob.Checkpoint
	o := &blob.UploadOptions{UploadID: uploadID, Token: token, PartSize: 1 << 20, JournalBytes: 1}
	o.Journal = func(_ context.Context, c *blob.Checkpoint) error {
		resume = blob.Checkpoint{Parts: append(resume.Parts, c.Parts...), Offset: c.Offset, SHA256: c.SHA256}
		return nil
	}
	cut := io.MultiReader(strings.NewReader(string(data[:3_500_000])), broken{})
	_, err := blob.Stage(t.Context(), s, key, io.NopCloser(cut), o)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.EqualValues(t, 3_500_000, resume.Offset)

	ok, err := blob.Resumable(t.Context(), s, key, &resume)
	require.NoError(t, err)
	require.True(t, ok)
	o.Resume, o.Journal, o.Token = &resume, nil, [16]byte{7}
	c, err := blob.Stage(t.Context(), s, key, io.NopCloser(strings.NewReader(string(data[resume.Offset:]))), o)
	require.NoError(t, err)
	require.NoError(t, blob.Commit(t.Context(), s, key, uploadID, c, "text/plain"))
	requireObject(t, s, key, data)
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func requireObject(t *testing.T, s blob.Store, key string, want []byte) {
	t.Helper()
	body, err := s.Open(t.Context(), key, 0, -1)
	require.NoError(t, err)
	defer body.Close()
	got, err := io.ReadAll(body)
	require.NoError(t, err)
	require.True(t, string(got) == string(want), "the object has other bytes, %d of %d", len(got), len(want))
}

// A blob that another program has put there is never replaced.
func TestForeignBlob(t *testing.T) {
	t.Parallel()
	client := envtest.AzuriteContainer(t)
	s := newStore(t, client, nil)
	_, err := client.NewBlockBlobClient("a").Upload(t.Context(), streaming.NopCloser(strings.NewReader("foreign")), nil)
	require.NoError(t, err)
	_, err = s.CommittedParts(t.Context(), "a")
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorIs(t, s.Commit(t.Context(), "a", stage(t, s, "a", []byte("mine")), blob.Info{}), blob.ErrExists)
	requireObject(t, s, "a", []byte("foreign"))

	b := client.NewBlockBlobClient("b")
	_, err = b.StageBlock(t.Context(), "Zm9yZWlnbg==", streaming.NopCloser(strings.NewReader("foreign")), nil)
	require.NoError(t, err)
	staged, err := s.StagedParts(t.Context(), "b")
	require.NoError(t, err)
	require.Empty(t, staged, "blocks of others aren't parts")
	_, err = b.CommitBlockList(t.Context(), []string{"Zm9yZWlnbg=="}, &blockblob.CommitBlockListOptions{})
	require.NoError(t, err)
	_, err = s.CommittedParts(t.Context(), "b")
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

func TestSignURL(t *testing.T) {
	t.Parallel()
	client := envtest.AzuriteContainer(t)
	s := newStore(t, client, nil)
	put(t, s, "a/%2F", []byte("content"))
	u, err := s.SignURL(t.Context(), "a/%2F", time.Minute)
	require.NoError(t, err)
	resp, err := http.Get(u)
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "content", string(data))

	req, err := http.NewRequest(http.MethodDelete, u, http.NoBody)
	require.NoError(t, err)
	del, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer del.Body.Close()
	require.Equal(t, http.StatusForbidden, del.StatusCode, "the signature must be for reading only")

	_, err = s.SignURL(t.Context(), "a", 0)
	require.ErrorContains(t, err, "can't be valid")
	_, err = newStore(t, signed(t, client, nil), nil).SignURL(t.Context(), "a", time.Minute)
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

func TestCheckSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	connection := envtest.Azurite(t)
	missing, err := container.NewClientFromConnectionString(connection, "not-there", nil)
	require.NoError(t, err)
	err = newStore(t, missing, quick()).Check(t.Context())
	require.ErrorContains(t, err, "/not-there: azure says 404 ContainerNotFound")
	require.ErrorContains(t, err, "the container does not exist: create it, or correct its name")
	require.NotErrorIs(t, err, blob.ErrNotFound)
	_, err = newStore(t, missing, quick()).Stat(t.Context(), "a")
	require.NotErrorIs(t, err, blob.ErrNotFound, "no container is not the same as no object")

	cred, err := container.NewSharedKeyCredential("devstoreaccount1", "d3Jvbmcga2V5")
	require.NoError(t, err)
	u, _, _ := strings.Cut(missing.URL(), "?")
	wrong, err := container.NewClientWithSharedKeyCredential(u, cred, nil)
	require.NoError(t, err)
	err = newStore(t, wrong, quick()).Check(t.Context())
	require.ErrorContains(t, err, "azure says 403")
	require.ErrorContains(t, err, "the credential")
	require.NotContains(t, err.Error(), "\n")
}
