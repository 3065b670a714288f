package backup_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/retention"
)

// Pages of whatever size have every decision once, in one order, and a pass of looks of
// whatever size sees every pair once.
func TestRetentionPages(t *testing.T) {
	b := setup(t, retaining(retention.Policy{KeepLast: 2}))
	for user := range 7 {
		for site := range 9 { // more pairs than are planned at once
			for i := range 1 + user*site%5 {
				b.store(aged{user: fmt.Sprint("user é", user), site: fmt.Sprint(site), age: day * time.Duration(i+1)})
			}
		}
	}
	total := b.count("SELECT count(*) FROM {backup}")
	read := func(p backup.PlanRetentionParams) (ids []string) {
		for {
			require.LessOrEqual(t, len(ids), total, "it goes in circles")
			page, err := b.client.PlanRetention(b.ctx, p)
			require.NoError(t, err)
			for _, d := range page.Decisions {
				ids = append(ids, d.BackupID)
			}
			if page.Next == nil {
				return ids
			}
			p.After, err = backup.ParseRetentionCursor(page.Next.String())
			require.NoError(t, err)
			require.Equal(t, page.Next.String(), p.After.String())
		}
	}
	all := read(backup.PlanRetentionParams{Limit: 1000})
	require.Len(t, all, total)
	for _, limit := range []int{1, 7, 100} {
		require.Equal(t, all, read(backup.PlanRetentionParams{Limit: limit}), "pages of %d", limit)
	}
	going := read(backup.PlanRetentionParams{Removed: true, Limit: 3})
	require.NotEmpty(t, going)
	require.Less(t, len(going), len(all))
	require.Len(t, read(backup.PlanRetentionParams{UserID: "user é6", SiteID: "7"}), 3)

	var sum backup.Applied
	for after := (backup.Pair{}); ; after = *sum.Next {
		done, err := b.ledger.ApplyRetention(b.ctx, after, 5)
		require.NoError(t, err)
		sum.Pairs, sum.Removed, sum.Next = sum.Pairs+done.Pairs, sum.Removed+done.Removed, done.Next
		if sum.Next == nil {
			break
		}
	}
	require.Equal(t, 63, sum.Pairs)
	b.requireGoing(going...)
}

// A caller sees the plans of its own tenants, whatever the cursor names that it sends.
func TestRetentionPlanScope(t *testing.T) {
	b := setup(t)
	mine := b.store(aged{user: "mine"})
	theirs := b.get(b.store(aged{user: "theirs", age: day}))
	b.store(aged{user: "theirs", age: 2 * day})
	scope := backup.Scope{Users: []string{"m*"}}
	for name, p := range map[string]backup.PlanRetentionParams{
		"all":        {Scope: scope},
		"a cursor":   {Scope: scope, After: &backup.RetentionCursor{Pair: backup.Pair{UserID: "a", SiteID: siteID}, Backup: theirs.Cursor()}},
		"one's user": {Scope: scope, UserID: "mine"},
	} {
		page, err := b.client.PlanRetention(b.ctx, p)
		require.NoError(t, err)
		require.Len(t, page.Decisions, 1, name)
		require.Equal(t, mine, page.Decisions[0].BackupID)
		require.Equal(t, []string{"no-policy", "newest-good:db"}, page.Decisions[0].Reasons)
	}
	for name, p := range map[string]backup.PlanRetentionParams{
		"another's cursor": {Scope: scope, After: &backup.RetentionCursor{Pair: backup.Pair{UserID: "theirs", SiteID: siteID}, Backup: theirs.Cursor()}},
		"another's user":   {Scope: scope, UserID: "theirs"},
		"nobody":           {UserID: "\x00"},
	} {
		page, err := b.client.PlanRetention(b.ctx, p)
		require.NoError(t, err)
		require.Empty(t, page.Decisions, name)
	}
	for _, s := range []string{"", "x", "AA", "AAAA", (&backup.RetentionCursor{}).String(), theirs.Cursor().String()} {
		_, err := backup.ParseRetentionCursor(s)
		var field *backup.FieldError
		require.ErrorAs(t, err, &field, s)
	}
}
