package httpapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
	"github.com/sitebackup/sitebackup/internal/memblob"
)

func (b *bundle) plan(t testing.TB, query string) httpapi.RetentionPlan {
	t.Helper()
	a := b.get(t, "/retention/plan"+query)
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.body)
	require.Equal(t, a.Header.Get("Link") != "", decode[httpapi.RetentionPlan](t, a).NextCursor != "")
	return decode[httpapi.RetentionPlan](t, a)
}

// The plan tells of each backup whether it would stay and why, of the caller's tenants
// alone, and removes none.
func TestRetentionPlan(t *testing.T) {
	t.Parallel()
	options, secrets := authorize(t, httpapi.Token{Name: "u", Scopes: readWrite, Users: []string{"u"}}, httpapi.Token{Name: "o", Scopes: readWrite, Users: []string{"o"}},
		httpapi.Token{Name: "writer", Scopes: httpapi.ScopeWrite})
	options.RateLimit.PerSecond = 1000
	b := setup(t, settings{store: memblob.New(), exports: exports(), options: options})
	other := b.as(secrets["o"])
	theirs := other.awaitStatus(t, other.started(t, `{"userId":"o","siteId":"s"}`).ID, "done")
	b, all := b.as(secrets["u"]), b
	s, _ := b.scheduled(t, `{"userId":"u","siteId":"s","cron":"@yearly","retention":{"keepLast":2}}`)
	var ids []string // the newest first
	for i := range 5 {
		a := b.at(t, http.MethodPost, "/schedule/"+s.ID+"/run", "")
		require.Equal(t, http.StatusAccepted, a.StatusCode)
		id := decode[httpapi.Backup](t, a).ID
		b.awaitStatus(t, id, "done")
		all.exec(t, `UPDATE {{schema}}.backup SET created_at = now() - @age::interval WHERE id = @id`, pgx.NamedArgs{"id": id, "age": time.Duration(10-i) * 24 * time.Hour})
		ids = append([]string{id}, ids...)
	}
	own := b.done(t).ID // no policy is its
	plan := b.plan(t, "")
	require.Len(t, plan.Decisions, 6)
	require.Equal(t, httpapi.RetentionDecision{
		BackupID: own, UserID: "u", SiteID: "s", CreatedAt: plan.Decisions[0].CreatedAt, Keep: true, Reasons: plan.Decisions[0].Reasons,
	}, plan.Decisions[0])
	require.Contains(t, plan.Decisions[0].Reasons, "no-policy")
	for i, d := range plan.Decisions[1:] {
		require.Equal(t, []string{ids[i], s.ID}, []string{d.BackupID, d.ScheduleID})
		require.Equal(t, i < 2, d.Keep)
		require.Contains(t, strings.Join(d.Reasons, ","), map[bool]string{true: "last", false: "policy"}[i < 2])
	}
	removed := b.plan(t, "?removed=true&userId=u&siteId=s")
	require.Equal(t, plan.Decisions[3:], removed.Decisions)

	var paged []httpapi.RetentionDecision
	for query := "?limit=2"; query != ""; {
		page := b.plan(t, query)
		require.LessOrEqual(t, len(page.Decisions), 2)
		paged, query = append(paged, page.Decisions...), ""
		if page.NextCursor != "" {
			query = "?limit=2&cursor=" + url.QueryEscape(page.NextCursor)
		}
	}
	require.Equal(t, plan.Decisions, paged)

	require.Equal(t, theirs.ID, other.plan(t, "").Decisions[0].BackupID)
	for _, query := range []string{"?userId=u", "?cursor=" + url.QueryEscape(b.plan(t, "?limit=2").NextCursor) + "&userId=u"} {
		require.Empty(t, other.plan(t, query).Decisions)
	}
	require.Contains(t, string(other.get(t, "/retention/plan?userId=u").body), `"decisions":[]`)
	requireProblem(t, all.as(secrets["writer"]).get(t, "/retention/plan"), 403, httpapi.CodeForbidden)
	for query, location := range map[string]string{"?limit=0": "query.limit", "?removed=1": "query.removed", "?cursor=x": "query.cursor", "?userId=": "query.userId"} {
		p := requireProblem(t, b.get(t, "/retention/plan"+query), 422, httpapi.CodeValidationFailed)
		require.Equal(t, location, p.Errors[0].Location)
	}
	require.Len(t, b.list(t, "?status=done").Backups, 6, "nothing was removed")
}
