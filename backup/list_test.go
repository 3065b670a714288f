package backup_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

func (b *bundle) list(p backup.ListParams) (ids []string) {
	b.Helper()
	got, err := b.client.List(b.ctx, p)
	require.NoError(b, err)
	for _, each := range got {
		ids = append(ids, each.ID)
	}
	return ids
}

// Pages are full of what may be seen, and together they are all of it, although
// backups come in while they are read.
func TestListPagesInScope(t *testing.T) {
	b := setup(t)
	start := func(i int) string {
		return b.start(func(p *backup.StartParams) {
			p.UserID, p.SiteID = fmt.Sprintf("user_%d", i%3), fmt.Sprintf("site%d", i%5)
		}).ID
	}
	var want []string
	for i := range 60 {
		if id := start(i); i%3 != 0 && i%5 == 2 {
			want = append([]string{id}, want...)
		}
	}
	require.Len(t, want, 8)
	scope := backup.Scope{Users: []string{"user_1", "*_2"}, Sites: []string{"s*2"}}
	var got []string
	p := backup.ListParams{Scope: scope, Limit: 3}
	for pages := 1; ; pages++ {
		page, err := b.client.List(b.ctx, p)
		require.NoError(t, err)
		for _, each := range page {
			got = append(got, each.ID)
		}
		if len(page) < p.Limit {
			require.Equal(t, 3, pages)
			break
		}
		start(2)
		p.After, err = backup.ParseCursor(page[len(page)-1].Cursor().String())
		require.NoError(t, err)
	}
	require.Equal(t, want, got)
	require.Empty(t, b.list(backup.ListParams{Scope: scope, UserID: "user_0"}), "a filter doesn't widen the scope")
}

func TestListFilters(t *testing.T) {
	b := setup(t)
	ids := make([]string, 4)
	at := func(i int) time.Time { return time.Date(2024, 1, 1+i, 0, 0, 0, 0, time.UTC) }
	for i, state := range []backup.State{backup.StatePending, backup.StateRunning, backup.StateSealing, backup.StateDeleting} {
		ids[i] = b.start().ID
		b.exec("UPDATE {backup} SET state = $2, created_at = $3 WHERE id = $1", ids[i], state, at(i))
	}
	require.Equal(t, []string{ids[2], ids[1]}, b.list(backup.ListParams{States: []backup.State{backup.StateRunning, backup.StateSealing}}))
	require.Equal(t, []string{ids[1]}, b.list(backup.ListParams{State: backup.StateRunning, States: []backup.State{backup.StateRunning, backup.StateSealing}}))
	require.Equal(t, []string{ids[2], ids[1]}, b.list(backup.ListParams{Since: at(1), Until: at(3)}), "from Since on, before Until")
	require.Equal(t, []string{ids[3]}, b.list(backup.ListParams{Since: at(3)}))

	for want, p := range map[string]backup.ListParams{
		"after must be a cursor of this list":  {After: &backup.Cursor{ID: "x"}},
		"after must be a cursor of this list ": {After: &backup.Cursor{ID: ids[0], CreatedAt: time.UnixMicro(1 << 62)}},
		"since must be in the years":           {Since: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"until must be in the years":           {Until: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)},
		"state must be pending, running":       {States: []backup.State{backup.StateDone, "\xff"}},
		"state must be pending, running ":      {State: "open"},
		"users must be patterns":               {Scope: backup.Scope{Users: []string{""}}},
	} {
		_, err := b.client.List(b.ctx, p)
		var field *backup.FieldError
		require.ErrorAs(t, err, &field)
		require.ErrorContains(t, err, strings.TrimSpace(want))
	}
}

func TestCursor(t *testing.T) {
	t.Parallel()
	c := &backup.Cursor{CreatedAt: time.Date(2025, 2, 3, 4, 5, 6, 789_123_000, time.UTC), ID: "0197b7c1-0000-7000-8000-00000000000f"}
	s := c.String()
	require.Len(t, s, 32)
	got, err := backup.ParseCursor(s)
	require.NoError(t, err)
	require.Equal(t, c, got)
	require.Empty(t, (&backup.Cursor{ID: "x"}).String())
	for _, bad := range []string{"", "x", s + "A", s[:31], s[:31] + "=", " " + s[1:], strings.Repeat("f", 32), strings.Repeat("A", 31) + "\n"} {
		_, err := backup.ParseCursor(bad)
		require.EqualError(t, err, "after must be a cursor of this list", "%q", bad)
	}
}

func FuzzParseCursor(f *testing.F) {
	f.Add((&backup.Cursor{CreatedAt: time.Unix(1, 0), ID: "0197b7c1-0000-7000-8000-00000000000f"}).String())
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := backup.ParseCursor(s); err == nil {
			require.Equal(t, s, c.String())
		}
	})
}

// A list of one user's backups finds them by an index that begins with the user,
// and that of all reads the index of the newest: neither reads the table.
func TestListUsesIndexes(t *testing.T) {
	b := setup(t)
	b.exec(`INSERT INTO {backup} (id, user_id, site_id, created_at)
		SELECT gen_random_uuid(), 'user' || n % 2000, 'site' || n % 3, now() - n * interval '1 minute' FROM generate_series(1, 20000) n`)
	b.exec("ANALYZE {backup}")
	plan := func(p backup.ListParams) string {
		tail, args := backup.ListQuery(&p)
		rows, err := b.pool.Query(b.ctx, b.in("EXPLAIN SELECT b.id FROM {backup} b "+tail), pgx.StrictNamedArgs(args))
		require.NoError(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return strings.Join(lines, "\n")
	}
	cursor := &backup.Cursor{CreatedAt: time.Now().Add(-time.Hour), ID: "0197b7c1-0000-7000-8000-00000000000f"}
	for name, p := range map[string]backup.ListParams{
		"user":               {UserID: "user7"},
		"user, site, cursor": {UserID: "user7", SiteID: "site1", After: cursor},
		"user, states":       {UserID: "user7", States: []backup.State{backup.StateDone, backup.StatePending}},
		"scope of one user":  {Scope: backup.Scope{Users: []string{"user7"}}},
		"scope and user":     {Scope: backup.Scope{Users: []string{"user*", "x"}}, UserID: "user7"},
	} {
		require.Regexp(t, `Index Cond: \(+user_id = `, plan(p), name)
	}
	for name, p := range map[string]backup.ListParams{
		"all":         {},
		"all, cursor": {After: cursor},
		"a stretch":   {Since: time.Now().Add(-time.Hour), Until: time.Now()},
	} {
		require.Contains(t, plan(p), "backup_newest", name)
	}
}
