package blob_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
)

func TestValidateKey(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", "a/b", "...", ".a", "a%2Fb", strings.Repeat("k", blob.MaxKeyLen)} {
		require.NoError(t, blob.ValidateKey(good))
	}
	for bad, want := range map[string]string{
		"":                                    `key "" must not be empty`,
		strings.Repeat("k", blob.MaxKeyLen+1): "must have at most 1024 bytes",
		"a//b":                                `key "a//b" must not have the segment ""`,
		"a/../b":                              `must not have the segment ".."`,
		".":                                   `must not have the segment "."`,
		"a b":                                 "must be percent-encoded",
		"a\x7f":                               "must be percent-encoded",
		"ü":                                   "must be percent-encoded",
	} {
		require.ErrorContains(t, blob.ValidateKey(bad), want)
	}
}

func TestPartID(t *testing.T) {
	t.Parallel()
	id := blob.NewPartID([16]byte{1}, [16]byte{2}, 49_999)
	require.Equal(t, 49_999, id.Index())
	require.Len(t, id.String(), 27)
	again, err := blob.ParsePartID(id.String())
	require.NoError(t, err)
	require.Equal(t, id, again)
	require.NotEqual(t, id, blob.NewPartID([16]byte{1}, [16]byte{3}, 49_999), "two workers must not share an id")
	for _, bad := range []string{"", "x", id.String() + "A", id.String()[:26] + "=", id.String()[:26] + "/"} {
		_, err := blob.ParsePartID(bad)
		require.ErrorContains(t, err, "parse part id")
	}
}
