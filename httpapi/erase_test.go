package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
	"github.com/sitebackup/sitebackup/internal/memblob"
)

// All that is a user's goes, once nothing holds it, and leaves a receipt without a name.
// Nothing of another's does.
func TestErase(t *testing.T) {
	t.Parallel()
	const every = readWrite | httpapi.ScopeAdmin
	options, secrets := authorize(t, httpapi.Token{Name: "mine", Scopes: every, Users: []string{"ü/ 1"}}, httpapi.Token{Name: "other", Scopes: every, Users: []string{"o"}},
		httpapi.Token{Name: "site", Scopes: every, Sites: []string{"s"}}, httpapi.Token{Name: "reader", Scopes: httpapi.ScopeRead})
	options.RateLimit.PerSecond = 1000
	store := memblob.New()
	b := setup(t, settings{store: store, exports: exports(), options: options})
	mine, other := b.as(secrets["mine"]), b.as(secrets["other"])
	id := mine.awaitStatus(t, mine.started(t, `{"userId":"ü/ 1","siteId":"s"}`).ID, "done").ID
	second := mine.awaitStatus(t, mine.started(t, `{"userId":"ü/ 1","siteId":"t"}`).ID, "done").ID
	theirs := other.awaitStatus(t, other.started(t, `{"userId":"o","siteId":"s"}`).ID, "done").ID
	s, _ := mine.scheduled(t, `{"userId":"ü/ 1","siteId":"s","cron":"@yearly"}`)
	const user = "/user/%C3%BC%2F%201"
	erase := func(as *bundle, path string) answer { return as.at(t, http.MethodDelete, path, "") }

	for _, as := range []*bundle{other, b.as(secrets["reader"]), b.as(secrets["site"])} {
		requireProblem(t, erase(as, user+"/backup"), 403, httpapi.CodeForbidden)
	}
	requireProblem(t, erase(other, user+"/site/s/backup"), 403, httpapi.CodeForbidden)
	requireProblem(t, erase(b.as(secrets["site"]), user+"/site/t/backup"), 403, httpapi.CodeForbidden)
	require.Equal(t, http.StatusOK, mine.verb(t, http.MethodPost, second, "/hold", "").StatusCode)
	held := requireProblem(t, erase(mine, user+"/backup"), 409, httpapi.CodeHeld)
	require.Equal(t, second, held.BackupID)

	// The site that nothing holds goes alone.
	await := func(a answer) httpapi.Erasure {
		require.Equal(t, http.StatusAccepted, a.StatusCode, "%s", a.body)
		e := decode[httpapi.Erasure](t, a)
		require.Equal(t, "/erasure/"+e.ID, a.Header.Get("Location"))
		require.Equal(t, "ü/ 1", e.UserID)
		eventually(t, func() bool {
			e = decode[httpapi.Erasure](t, mine.get(t, "/erasure/"+e.ID))
			return e.Status == "done"
		})
		require.Empty(t, e.UserID+e.SiteID+e.Error)
		return e
	}
	e := await(erase(b.as(secrets["site"]), user+"/site/s/backup"))
	require.Equal(t, []int64{1, 1, 3}, []int64{e.Backups, e.Schedules, e.Objects})
	require.Greater(t, e.Bytes, int64(300_000))
	require.False(t, e.WholeUser)
	requireProblem(t, mine.get(t, "/backup/"+id), 404, httpapi.CodeNotFound)
	requireProblem(t, mine.get(t, "/schedule/"+s.ID), 404, httpapi.CodeNotFound)
	mine.awaitStatus(t, second, "done")

	require.Equal(t, http.StatusOK, mine.verb(t, http.MethodPost, second, "/release", "").StatusCode)
	b.idle() // the workers' part waits
	a := erase(mine, user+"/backup")
	require.Equal(t, http.StatusAccepted, a.StatusCode, "%s", a.body)
	whole := decode[httpapi.Erasure](t, a)
	require.True(t, whole.WholeUser)
	require.Equal(t, whole.ID, decode[httpapi.Erasure](t, erase(mine, user+"/backup")).ID)
	for _, refused := range []answer{
		mine.post(t, `{"userId":"ü/ 1","siteId":"s"}`), mine.at(t, http.MethodPost, "/schedule", `{"userId":"ü/ 1","siteId":"s","cron":"@daily"}`),
		mine.verb(t, http.MethodPost, second, "/hold", ""),
	} {
		requireProblem(t, refused, 409, httpapi.CodeErasing)
	}
	for _, path := range []string{"/erasure/" + whole.ID, "/erasure/x", "/erasure/" + unused} {
		p := requireProblem(t, other.get(t, path), 404, httpapi.CodeNotFound)
		require.Equal(t, "There is no such erasure.", p.Detail)
	}
	requireProblem(t, b.as(secrets["site"]).get(t, "/erasure/"+whole.ID), 404, httpapi.CodeNotFound)
	b.work(t)
	e = await(erase(mine, user+"/backup"))
	require.Equal(t, whole.ID, e.ID)
	require.Equal(t, http.StatusOK, other.get(t, "/erasure/"+e.ID).StatusCode, "a receipt names nobody")
	other.awaitStatus(t, theirs, "done")
	for o, err := range store.List(t.Context(), "") {
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(o.Key, "o/"), o.Key)
	}

	// Ids that look like paths are ids, once they are escaped.
	requireProblem(t, erase(mine, "/user/../backup"), 404, httpapi.CodeNotFound)
	for _, id := range []string{"%2e%2e", "a%2F%2Fb", "%2Fa"} {
		require.Equal(t, http.StatusForbidden, erase(mine, "/user/"+id+"/backup").StatusCode, id)
	}

	p := requireProblem(t, erase(b.as(secrets["site"]), "/user/%00/site/s/backup"), 422, httpapi.CodeValidationFailed)
	require.Equal(t, "path.userId", p.Errors[0].Location)

	// The log says what was asked for, and not about whom.
	for path, logged := range map[string]string{
		user + "/backup": "/user/{userId}/backup", user + "/site/some%2Fwhere/backup": "/user/{userId}/site/{siteId}/backup",
		"/user/tasks/backups": "/user/{userId}/backups", "/backup/x/tasks/user/content": "/backup/x/tasks/user/content", "/backup/x/tasks/site/content": "/backup/x/tasks/site/content",
		"/%75ser/where/backup": "/%75ser/{userId}/backup", "/us%65r/where/s%69te/where/backup": "/us%65r/{userId}/s%69te/{siteId}/backup", "/user/where": "/user/{userId}",
	} {
		mine.get(t, path)
		require.Contains(t, b.log.String(), "path="+logged+" ")
	}
	for _, name := range []string{"%C3%BC", "ü", "where"} {
		require.NotContains(t, b.log.String(), "path=/user/"+name)
		require.NotContains(t, b.log.String(), "/site/"+name)
		require.NotContains(t, b.log.String(), "/s%69te/"+name)
		require.NotContains(t, b.log.String(), "ser/"+name)
	}
}
