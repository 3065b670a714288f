package demo

import (
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/httpapi"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

func TestMain(m *testing.M) { envtest.Main(m) }

// running starts a demo and lets it make its backup.
func running(t *testing.T) (*demo, *httpapi.Backup) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := &demo{Options: &Options{
		Size: 1 << 20, Dir: t.TempDir(), Listener: l, Database: envtest.Database(t), Out: io.Discard, Log: slog.New(slog.DiscardHandler),
	}}
	t.Cleanup(func() { require.NoError(t, d.close(t.Context())) })
	require.NoError(t, d.startPlaces(t.Context()))
	require.NoError(t, d.startApp(t.Context()))
	b, err := d.backUp(t.Context())
	require.NoError(t, err)
	return d, b
}

// What is off in the store fails the demo.
func TestCheck(t *testing.T) {
	t.Parallel()
	d, b := running(t)
	m, err := d.check(t.Context(), b)
	require.NoError(t, err)

	object := filepath.Join(d.Dir, filepath.FromSlash(m.Objects[0].Key))
	data, err := os.ReadFile(object)
	require.NoError(t, err)
	data[len(data)/2] ^= 1
	require.NoError(t, os.WriteFile(object, data, 0o600))
	_, err = d.check(t.Context(), b)
	var mismatch *blob.MismatchError
	require.ErrorAs(t, err, &mismatch)

	data[len(data)/2] ^= 1
	require.NoError(t, os.WriteFile(object, data, 0o600))
	d.places.exports[0].Seed++ // the source holds something else than what was stored
	_, err = d.check(t.Context(), b)
	require.ErrorContains(t, err, "the export of site is not what the source holds")
	d.places.exports[0].Seed--

	require.NoError(t, os.Remove(object))
	_, err = d.check(t.Context(), b)
	require.ErrorIs(t, err, blob.ErrNotFound)
}

func TestFailure(t *testing.T) {
	t.Parallel()
	err := failure(&httpapi.Backup{BackupSummary: httpapi.BackupSummary{ID: "1", Status: "failed"}, Tasks: []httpapi.Task{
		{Provider: "db", Error: &httpapi.Failure{Message: "source answered 404", Hint: "Look at its URL."}}, {Provider: "site"},
	}})
	require.EqualError(t, err, "backup 1 is failed\ndb: source answered 404. Look at its URL.")
}
