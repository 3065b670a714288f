package envtest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCount(t *testing.T) {
	for value, want := range map[string]int{"": 3, "0": 3, "1": 200} {
		t.Setenv("BACKUP_TEST_SOAK", value)
		require.Equal(t, want, Count(3, 200), value)
		require.Equal(t, want == 200, Soak(), value)
	}
}
