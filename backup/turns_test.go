package backup

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTurns(t *testing.T) {
	t.Parallel()
	var turns turns
	end, err := turns.take(t.Context(), "a")
	require.NoError(t, err)
	other, err := turns.take(t.Context(), "b")
	require.NoError(t, err, "another backup's is free")
	other()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = turns.take(canceled, "a")
	require.ErrorIs(t, err, context.Canceled)
	end()

	var wg sync.WaitGroup
	var inside, most, all int
	for range 50 {
		wg.Go(func() {
			end, err := turns.take(context.WithoutCancel(t.Context()), "a")
			if err != nil {
				return
			}
			defer end()
			inside++ // unguarded: the race detector sees two at once
			most, all = max(most, inside), all+1
			inside--
		})
	}
	wg.Wait()
	require.Equal(t, 1, most)
	require.Equal(t, 50, all)
	require.Empty(t, turns.of, "nothing is kept of those that have ended")
}
