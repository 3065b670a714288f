package backup_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A row that can't be read would fail all that are read with it: the table takes
// none, whoever writes it.
func TestLabelsAreTexts(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	for _, labels := range []string{`{"n": 1}`, `{"a": "b", "c": null}`, `{"a": {"b": "c"}}`, `{"a": ["b"]}`, `["a"]`, `"a"`} {
		_, err := b.pool.Exec(b.ctx, b.in(`UPDATE {backup} SET labels = $2::text::jsonb WHERE id = $1`), id, labels)
		require.ErrorContains(t, err, "backup_label", labels)
	}
	b.exec(`UPDATE {backup} SET labels = jsonb_build_object('a', 'b', 'c', '') WHERE id = $1`, id)
	require.Equal(t, map[string]string{"a": "b", "c": ""}, b.get(id).Labels)
}
