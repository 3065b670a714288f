package backup_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// Sources that announce absurd sizes are told so, at once, and not retried with an
// error of the database.
func TestAnnouncedSizesOverflow(t *testing.T) {
	b := setup(t)
	id := b.start(func(p *backup.StartParams) { p.MaxSize = math.MaxInt64 }).ID
	b.plan(id, "db", "site")
	require.NoError(t, b.ledger.OpenTask(b.ctx, b.claim(id, "db"), backup.Source{Size: math.MaxInt64 - 1}))
	err := b.ledger.OpenTask(b.ctx, b.claim(id, "site"), backup.Source{Size: math.MaxInt64 - 1})
	var size *backup.SizeError
	require.ErrorAs(t, err, &size)
}
