package httpapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi"
)

func (b *bundle) list(t testing.TB, query string) httpapi.BackupList {
	t.Helper()
	a := b.get(t, "/backup"+query)
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.body)
	return decode[httpapi.BackupList](t, a)
}

func ids(list httpapi.BackupList) []string {
	var ids []string
	for _, b := range list.Backups {
		ids = append(ids, b.ID)
	}
	return ids
}

// Following the header Link, although backups come in meanwhile, gives each that
// was there once, and none that is another tenant's.
func TestListPages(t *testing.T) {
	t.Parallel()
	options, secrets := authorize(t, httpapi.Token{Name: "mine", Scopes: readWrite, Users: []string{"u"}}, httpapi.Token{Name: "all", Scopes: readWrite})
	b := setup(t, settings{options: options})
	var want []string
	for i := range 7 {
		want = append([]string{b.as(secrets["all"]).started(t, start).ID}, want...)
		if i%2 == 0 {
			b.as(secrets["all"]).started(t, `{"userId":"other","siteId":"s"}`)
		}
	}
	b = b.as(secrets["mine"])
	var got []string
	for next := "/backup?siteId=s&limit=3"; next != ""; {
		at, err := url.Parse(b.url + next)
		require.NoError(t, err)
		a := b.get(t, next)
		list := decode[httpapi.BackupList](t, a)
		got = append(got, ids(list)...)
		b.started(t, start) // comes before every page
		if list.NextCursor == "" {
			require.Empty(t, a.Header.Get("Link"))
			break
		}
		link, ok := strings.CutSuffix(a.Header.Get("Link"), `>; rel="next"`)
		require.True(t, ok)
		at, err = at.Parse(strings.TrimPrefix(link, "<"))
		require.NoError(t, err)
		require.Equal(t, list.NextCursor, at.Query().Get("cursor"))
		require.Equal(t, "s", at.Query().Get("siteId"))
		next = at.RequestURI()
	}
	require.Equal(t, want, got)
	require.Len(t, b.list(t, "?limit=200").Backups, 10)
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	first := b.started(t, `{"userId":"ü/ 1","siteId":"s"}`)
	second := b.started(t, `{"userId":"u","siteId":"other"}`)
	third := b.started(t, `{"userId":"u","siteId":"s"}`)
	b.exec(t, `UPDATE {{schema}}.backup SET state = 'sealing', created_at = '2026-01-02 03:04:05Z' WHERE id = @id`, pgx.NamedArgs{"id": first.ID})
	b.exec(t, `UPDATE {{schema}}.backup SET state = 'canceled', finished_at = now() WHERE id = @id`, pgx.NamedArgs{"id": second.ID})
	for query, want := range map[string][]string{
		"":                         {third.ID, second.ID, first.ID},
		"?userId=u":                {third.ID, second.ID},
		"?userId=%C3%BC%2F+1":      {first.ID},
		"?userId=u&siteId=s":       {third.ID},
		"?userId=nobody":           nil,
		"?userId=%00":              nil,
		"?status=running":          {first.ID},
		"?status=pending,canceled": {third.ID, second.ID},
		"?status=pending&status=running&userId=u":    {third.ID},
		"?since=2026-01-02T03:04:06Z":                {third.ID, second.ID},
		"?until=2026-01-02T04:04:06%2B01:00":         {first.ID},
		"?until=2026-01-02T03:04:05Z":                nil, // until is not included
		"?since=2026-01-02T03:04:05Z&status=running": {first.ID},
		"?limit=1":   {third.ID},
		"?unknown=1": {third.ID, second.ID, first.ID},
	} {
		require.Equal(t, want, ids(b.list(t, query)), query)
	}
	require.Contains(t, string(b.get(t, "/backup?userId=nobody").body), `"backups":[]`)
	require.Equal(t, "running", b.list(t, "?status=running").Backups[0].Status)
}

func TestListRefusesQueries(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	const limit, at = "must be between 1 and 200", "must be a time such as 2026-01-02T03:04:05Z"
	for query, want := range map[string]httpapi.FieldError{
		"limit=0":                               {"query.limit", limit},
		"limit=201":                             {"query.limit", limit},
		"limit=x":                               {"query.limit", limit},
		"limit=99999999999999999999":            {"query.limit", limit},
		"since=yesterday":                       {"query.since", at},
		"since=0001-01-01T00:00:00Z":            {"query.since", at},
		"until=0000-01-01T00:00:00Z":            {"query.until", "must be in the years 1 to 9999"},
		"status=sealing":                        {"query.status", "must be pending, running, done, failed, canceled, deleting"},
		"status=":                               {"query.status", "must be pending, running, done, failed, canceled, deleting"},
		"userId=":                               {"query.userId", "must not be empty"},
		"siteId=a&siteId=b":                     {"query.siteId", "must be given once"},
		"cursor=x":                              {"query.cursor", "must be a cursor that this list has given"},
		"cursor=" + strings.Repeat("!", 32):     {"query.cursor", "must be a cursor that this list has given"},
		"userId=%zz":                            {"query", "must be percent-encoded"},
		"cursor=" + strings.Repeat("A", 10_000): {"query.cursor", "must be a cursor that this list has given"},
	} {
		p := requireProblem(t, b.get(t, "/backup?"+query), 422, httpapi.CodeValidationFailed)
		require.Equal(t, []httpapi.FieldError{want}, p.Errors, query)
	}
}

// FuzzList looks for a query that is answered by anything but what clients are
// told to expect.
func FuzzList(f *testing.F) {
	b := setup(f, settings{})
	_, err := b.client.Start(f.Context(), backup.StartParams{UserID: "u", SiteID: "s"})
	require.NoError(f, err)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	cursor := (&backup.Cursor{CreatedAt: at, ID: unused}).String()
	for _, query := range []string{
		"", "userId=u&siteId=s", "status=done,running&status=failed", "since=2026-01-02T03:04:05Z&until=9999-12-31T23:59:59.999999999%2B23:59", "limit=200",
		"cursor=" + cursor, "cursor=" + strings.Repeat("A", 32), "userId=%ff%00", "userId=%", ";", "&&=", "limit=1e3", "limit=-1", "status=\x00",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		if _, err := url.Parse("http://h/?" + query); err != nil || strings.ContainsAny(query, "# ") {
			return // it can't be sent
		}
		a := b.get(t, "/backup?"+query)
		if a.StatusCode != http.StatusOK {
			require.NotEmpty(t, requireProblem(t, a, 422, httpapi.CodeValidationFailed).Errors)
		}
	})
}
