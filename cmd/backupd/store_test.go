package main_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob/blobtest"
	"github.com/sitebackup/sitebackup/backup/blob/fileblob"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

// The command needs the destination, and neither the database nor the secrets of the
// providers.
func TestStoreCheck(t *testing.T) {
	t.Parallel()
	s := setup(t, 1, "")
	env := []string{"BACKUPD_CONFIG=" + s.config}
	status, out, err := runs(t, env, "store", "check")
	require.Zero(t, status, err)
	require.Len(t, lines(out), len(blobtest.Cases()))
	for _, line := range lines(out) {
		require.Regexp(t, `^ok +[A-Z]\w+ \(\d+\.\d\d s\)$`, line)
	}
	files, ferr := fileblob.New(s.dir, nil)
	require.NoError(t, ferr)
	for obj, err := range files.List(t.Context(), "") {
		t.Errorf("%v, %v is left", obj, err)
	}

	status, out, err = runs(t, env, "store", "check", "--output", "json")
	require.Zero(t, status, err)
	var report struct {
		Destination string
		OK          bool
		Cases       []struct {
			Name string
			OK   bool
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.True(t, report.OK)
	require.Equal(t, "file://"+s.dir, report.Destination)
	require.Len(t, report.Cases, len(blobtest.Cases()))
}

func TestStoreCheckAzure(t *testing.T) {
	t.Parallel()
	container := envtest.AzuriteContainer(t)
	path := writeFile(t, fmt.Sprintf("destination:\n  prefix: prod\n  azure: {container: %s, connectionString: '${env:STORAGE}'}\n", filepath.Base(container.URL())))
	status, out, err := runs(t, []string{"BACKUPD_CONFIG=" + path, "STORAGE=" + envtest.Azurite(t)}, "store", "check")
	require.Zero(t, status, "%s%s", out, err)
	require.Equal(t, len(blobtest.Cases()), strings.Count(out, "ok "))
}

// A store that doesn't take what it must: exit status 1, and the reason.
func TestStoreCheckFails(t *testing.T) {
	t.Parallel()
	path := writeFile(t, "destination: {file: {path: /there/is/none}}\n")
	status, out, err := runs(t, []string{"BACKUPD_CONFIG=" + path}, "store", "check")
	require.Equal(t, 1, status)
	require.Empty(t, out)
	require.Regexp(t, `^backupd: open file store: .*/there/is/none`, err)
}
