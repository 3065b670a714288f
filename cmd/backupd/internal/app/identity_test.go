package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
)

// Without another credential it is the identity of the environment. There is
// none here, so nothing is asked of Azure.
func TestIdentity(t *testing.T) {
	t.Parallel()
	store, err := openStore(t.Context(), &config.Destination{Azure: &config.AzureDestination{Container: "c", AccountURL: "https://example.blob.core.windows.net/"}}, nil)
	require.NoError(t, err)
	require.Equal(t, "https://example.blob.core.windows.net/c", store.String())
}
