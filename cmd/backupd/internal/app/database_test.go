package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
)

// How many connections a pool has is ours to say, unless the URL does.
func TestPoolsAreAsLargeAsTheURLSays(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]int32{"": 1, "?pool_max_conns=7": 7, "?pool_max_conns=200": 200, "?pool_max_conns=3": 0} {
		var f config.File
		f.Database.URL = config.NewSecret("postgres://u:p@localhost/d"+query, "")
		pool, err := OpenPool(t.Context(), &f, "test", 1)
		if want == 0 {
			require.ErrorContains(t, err, "pool_max_conns is for each of up to three pools, and must be at least 4")
			continue
		}
		require.NoError(t, err)
		require.Equal(t, want, pool.Config().MaxConns)
		pool.Close()
	}
}
