package blobtest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/fileblob"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func files(t *testing.T) blob.Store {
	t.Helper()
	s, err := fileblob.New(t.TempDir(), nil)
	require.NoError(t, err)
	return s
}
