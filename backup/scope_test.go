package backup_test

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

func TestScopeAllows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, id string
		want        bool
	}{
		{"a", "a", true},
		{"a", "A", false},
		{"a", "ab", false},
		{"*", "", true},
		{"*", "anything", true},
		{"a*", "a", true},
		{"a*", "ba", false},
		{"*a", "ba", true},
		{"*a", "ab", false},
		{"a*a", "a", false},
		{"a*a", "aa", true},
		{"a*b*c", "a-b-b-c", true},
		{"a*b*c", "a-c-b", false},
		{"*ab*ab*", "ab", false},
		{"**", "x", true},
		{"a.c", "abc", false},
		{"a?c", "abc", false},
		{"a%", "ab", false},
		{"a_", "ab", false},
		{`a\*`, "a*", false},
		{`a\*`, `a\b`, true},
		{"ü*", "übung", true},
	} {
		require.Equal(t, c.want, backup.Scope{Users: []string{c.pattern}}.Allows(c.id, "any"), "user %q, %q", c.pattern, c.id)
		require.Equal(t, c.want, backup.Scope{Sites: []string{"no such", c.pattern}}.Allows("any", c.id), "site %q, %q", c.pattern, c.id)
	}
	both := backup.Scope{Users: []string{"u"}, Sites: []string{"s"}}
	require.True(t, both.Allows("u", "s"))
	require.False(t, both.Allows("u", "x"))
	require.False(t, both.Allows("x", "s"))
	require.True(t, backup.Scope{}.Allows("x", "y"), "the zero Scope is everybody's")
}

func TestScopeValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, backup.Scope{}.Validate())
	require.NoError(t, backup.Scope{Users: []string{"*", strings.Repeat("x", 255)}, Sites: []string{`%_\`}}.Validate())
	for _, bad := range []string{"", "\x00", "a\n", "\xff", strings.Repeat("x", 256)} {
		for field, s := range map[string]backup.Scope{"users": {Users: []string{"a", bad}}, "sites": {Sites: []string{bad}}} {
			field := &backup.FieldError{Field: field, Rule: "must be patterns of 1 to 255 bytes of UTF-8 without control characters"}
			require.Equal(t, error(field), s.Validate(), "%q", bad)
		}
	}
	require.ErrorContains(t, backup.Scope{Users: make([]string, 1001)}.Validate(), "users must be at most 1,000 patterns")
}

// FuzzScope compares the matcher with a regular expression.
func FuzzScope(f *testing.F) {
	f.Add("a*b", "ab")
	f.Add("*", "")
	f.Add(`%_\`, "x")
	f.Fuzz(func(t *testing.T, pattern, id string) {
		s := backup.Scope{Users: []string{pattern}}
		if s.Validate() != nil || !utf8.ValidString(id) {
			return
		}
		expr := "(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$"
		require.Equal(t, regexp.MustCompile(expr).MatchString(id), s.Allows(id, ""), "%q, %q", pattern, id)
	})
}

// What Postgres finds is what Allows allows, for ids and patterns of the
// characters that are special to either.
func TestScopeInSQL(t *testing.T) {
	b := setup(t)
	random := rand.New(rand.NewPCG(rand.Uint64(), 0))
	word := func(alphabet []string, most int) string {
		var sb strings.Builder
		for range 1 + random.IntN(most) {
			sb.WriteString(alphabet[random.IntN(len(alphabet))])
		}
		return sb.String()
	}
	alphabet := []string{"a", "b", "%", "_", `\`, "*", "ü", "'", "["}
	patterns := func() (ps []string) {
		for range random.IntN(4) {
			ps = append(ps, word(append(alphabet, "*", "*"), 4))
		}
		return ps
	}
	const n = 300
	users, sites := make([]string, n), make([]string, n)
	for i := range n {
		users[i], sites[i] = word(alphabet, 5), word(alphabet, 5)
	}
	some, all := 0, 0
	for range envtest.Count(300, 20_000) {
		s := backup.Scope{Users: patterns(), Sites: patterns()}
		var want []int
		for i := range n {
			if s.Allows(users[i], sites[i]) {
				want = append(want, i+1)
			}
		}
		where, args := backup.ScopeWhere(s)
		args["u"], args["s"] = users, sites
		rows, err := b.pool.Query(b.ctx, `SELECT n::int FROM unnest(@u::text[], @s::text[]) WITH ORDINALITY AS b (user_id, site_id, n) WHERE true`+where+` ORDER BY n`, pgx.StrictNamedArgs(args))
		require.NoError(t, err)
		got, err := pgx.CollectRows(rows, pgx.RowTo[int])
		require.NoError(t, err)
		require.Equal(t, want, append([]int(nil), got...), "%+v", s)
		if len(got) > 0 && len(got) < n {
			some++
		}
		all++
	}
	require.Greater(t, some, all/10, "the patterns tell ids apart")
}
