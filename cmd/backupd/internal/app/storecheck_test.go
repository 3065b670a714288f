package app_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob/blobtest"
	"github.com/sitebackup/sitebackup/backup/blob/fileblob"
	"github.com/sitebackup/sitebackup/cmd/backupd/internal/app"
)

// A store that fails once, and one that damages bytes, are found; the other cases
// are told as well, and nothing is left of any.
func TestCheckStoreFindsFaults(t *testing.T) {
	t.Parallel()
	files, err := fileblob.New(t.TempDir(), nil)
	require.NoError(t, err)
	for name, script := range map[string]func(*blobtest.Faulty){
		"fails": func(f *blobtest.Faulty) { f.Fail(blobtest.OpCommit, 1, errors.New("refused\nfor good")) },
		"damages": func(f *blobtest.Faulty) {
			for nth := range 10 { // most are of what isn't there
				f.Flip(nth+1, 0)
			}
		},
	} {
		faulty := blobtest.NewFaulty(files)
		script(faulty)
		var failed []string
		told := 0
		require.NoError(t, app.CheckStore(t.Context(), faulty, "a/b", func(c app.StoreCase) error {
			told++
			if !c.OK {
				failed = append(failed, c.Name)
				require.NotContains(t, c.Error, "\n")
				require.True(t, strings.HasPrefix(c.Error, c.Name+": "), c.Error)
			}
			return nil
		}))
		require.NotEmpty(t, failed, name)
		require.Equal(t, len(blobtest.Cases()), told)
	}
	for obj, err := range files.List(t.Context(), "") {
		t.Errorf("%v, %v is left", obj, err)
	}
}
