package backup

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A statement's second execution is as strict as its first.
func TestNamed(t *testing.T) {
	t.Parallel()
	const query = "SELECT @b, @a, @b, '@c' -- @d"
	for range 2 {
		numbered, values, err := named{"a": 1, "b": 2}.RewriteQuery(t.Context(), nil, query, nil)
		require.NoError(t, err)
		require.Equal(t, "SELECT $1, $2, $1, '@c' -- @d", numbered)
		require.Equal(t, []any{2, 1}, values)
		for _, bad := range []named{{"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 2}} {
			_, _, err = bad.RewriteQuery(t.Context(), nil, query, nil)
			require.Error(t, err, bad)
		}
	}
}
