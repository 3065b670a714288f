package backup_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

func (b *bundle) events(id string) (data []string) {
	b.Helper()
	events, err := b.client.Events(b.ctx, id, 0, 1000)
	require.NoError(b, err)
	for _, e := range events {
		data = append(data, string(e.Name)+" "+string(e.Data))
	}
	return data
}

func TestHoldAndRelease(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	hold := func(reason string) *backup.Backup {
		got, err := b.client.Hold(b.ctx, id, reason)
		require.NoError(t, err)
		return got
	}
	release := func() *backup.Backup {
		got, err := b.client.Release(b.ctx, id)
		require.NoError(t, err)
		return got
	}
	require.Nil(t, release().HeldAt)
	first := hold("case 7")
	require.NotNil(t, first.HeldAt)
	require.Equal(t, "case 7", first.HoldReason)
	require.Equal(t, first, hold("case 7"), "the second changes nothing")
	again := hold("case 8")
	require.Equal(t, first.HeldAt, again.HeldAt, "another reason doesn't begin another hold")
	require.Equal(t, "case 8", again.HoldReason)
	b.plan(id, "db")
	require.Equal(t, "case 8", b.get(id).HoldReason, "the work goes on, and the hold stays")
	require.Nil(t, release().HeldAt)
	require.Empty(t, release().HoldReason)
	require.NotNil(t, hold("").HeldAt)

	var held []string
	for _, e := range b.events(id) {
		if strings.Contains(e, `"held"`) {
			held = append(held, e)
		}
	}
	require.Equal(t, []string{
		`UpdateUploadJob {"held": true, "state": "pending", "reason": "case 7"}`,
		`UpdateUploadJob {"held": true, "state": "pending", "reason": "case 8"}`,
		`UpdateUploadJob {"held": false, "state": "running"}`,
		`UpdateUploadJob {"held": true, "state": "running"}`,
	}, held)
	b.requireSound()
}

func TestHoldTx(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	tx, err := b.pool.Begin(b.ctx)
	require.NoError(t, err)
	got, err := b.client.HoldTx(b.ctx, tx, id, "r")
	require.NoError(t, err)
	require.NotNil(t, got.HeldAt)
	require.NoError(t, tx.Rollback(b.ctx))
	require.Nil(t, b.get(id).HeldAt)
	require.NoError(t, pgx.BeginFunc(b.ctx, b.pool, func(tx pgx.Tx) error {
		if _, err := b.client.HoldTx(b.ctx, tx, id, "r"); err != nil {
			return err
		}
		_, err := b.client.ReleaseTx(b.ctx, tx, id)
		return err
	}))
	require.Nil(t, b.get(id).HeldAt)
	require.Len(t, b.events(id), 3)
}

func TestHoldRefused(t *testing.T) {
	b := setup(t)
	id := b.start().ID
	for _, bad := range []string{strings.Repeat("x", 501), "a\nb", "\xff", "\x00"} {
		var field *backup.FieldError
		_, err := b.client.Hold(b.ctx, id, bad)
		require.ErrorAs(t, err, &field)
		require.Equal(t, "reason", field.Field)
	}
	for _, unknown := range []string{"", "x", "0197b7c1-0000-7000-8000-000000000000"} {
		_, err := b.client.Hold(b.ctx, unknown, "")
		require.ErrorIs(t, err, backup.ErrNotFound)
		_, err = b.client.Release(b.ctx, unknown)
		require.ErrorIs(t, err, backup.ErrNotFound)
	}
	b.exec("UPDATE {backup} SET state = 'deleting'")
	_, err := b.client.Hold(b.ctx, id, "")
	var state *backup.StateError
	require.ErrorAs(t, err, &state)
	require.EqualError(t, err, "hold backup: not possible while it is deleting")
}
