package httpapi_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
)

// schedulesHers makes schedules where bob has one and where he has none: alice is told
// the same of both. A name is a site's own.
func (p *pair) schedulesHers(t *testing.T) {
	t.Helper()
	post := func(user, site, name string) answer {
		body := `{"userId":"` + user + `","siteId":"` + site + `","name":"` + name + `","cron":"@yearly"}`
		return p.ask(t, p.alice, wire{method: http.MethodPost, path: "/schedule", body: body, headers: []string{"Content-Type: application/json"}})
	}
	theirs := post(bob, "s", "nightly")
	requireProblem(t, theirs, 403, httpapi.CodeForbidden)
	for _, none := range []answer{post(bob, "s", "none"), post(bob, "none", "nightly"), post("bob-none", "s", "nightly")} {
		require.Equal(t, told(none), told(theirs))
	}
	again := requireProblem(t, post(alice, "s", "nightly"), 409, httpapi.CodeScheduleExists)
	require.Equal(t, p.alice.schedules[1], again.ScheduleID)
	own := post(alice, "s", "own")
	require.Equal(t, http.StatusCreated, own.StatusCode, "%s", own.body)
	gone := p.ask(t, p.alice, wire{method: http.MethodDelete, path: own.Header.Get("Location")})
	require.Equal(t, http.StatusNoContent, gone.StatusCode)
}

// listsHerSchedules asks for bob's by each filter, and behind places in his list.
func (p *pair) listsHerSchedules(t *testing.T) {
	t.Helper()
	for query, n := range map[string]int{
		"": 2, "siteId=s": 1, "name=nightly": 2, "alert=true": 2, "userId=" + alice: 2, "userId=" + alice + "&limit=1": 1, "limit=200": 2, "siteId=slow": 0,
		"userId=" + url.QueryEscape(bob): 0, "userId=" + url.QueryEscape(bob) + "&siteId=s&name=nightly": 0, "userId=*": 0, "userId=%25": 0, "cursor=" + unused: 2,
		"cursor=" + p.bob.schedules[0]: 0, "cursor=" + p.bob.schedules[1]: 0, "cursor=" + p.alice.schedules[0]: 1, "cursor=" + p.alice.schedules[1]: 0,
	} {
		list := decode[httpapi.ScheduleList](t, p.ask(t, p.alice, wire{method: http.MethodGet, path: "/schedule", query: query}))
		require.Len(t, list.Schedules, n, query)
		for _, s := range list.Schedules {
			require.Equal(t, alice, s.UserID)
		}
	}
	for id, n := range map[string]int{p.alice.schedules[0]: 1, p.bob.schedules[0]: 0, unused: 0} {
		list := decode[httpapi.BackupList](t, p.ask(t, p.alice, wire{method: http.MethodGet, path: "/backup", query: "scheduleId=" + id}))
		require.Len(t, list.Backups, n)
	}
	require.Len(t, decode[httpapi.ScheduleList](t, p.ask(t, p.bob, wire{method: http.MethodGet, path: "/schedule"})).Schedules, 2, "there are such")
}

// plansHers asks what retention would do with bob's backups.
func (p *pair) plansHers(t *testing.T) {
	t.Helper()
	type plan struct {
		Decisions  []struct{ UserID string }
		NextCursor string
	}
	plans := func(as *tenant, query string) plan {
		a := p.ask(t, as, wire{method: http.MethodGet, path: "/retention/plan", query: query})
		require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.body)
		return decode[plan](t, a)
	}
	require.NotEmpty(t, plans(p.bob, "").Decisions, "there are such")
	bobs := plans(p.bob, "limit=1").NextCursor
	require.NotEmpty(t, bobs)
	require.NotEmpty(t, plans(p.alice, "").Decisions)
	for _, query := range []string{"", "limit=1", "userId=" + alice, "removed=true", "siteId=s", "cursor=" + url.QueryEscape(bobs)} {
		for _, d := range plans(p.alice, query).Decisions {
			require.Equal(t, alice, d.UserID, query)
		}
	}
	for _, query := range []string{"userId=" + url.QueryEscape(bob), "userId=" + url.QueryEscape(bob) + "&siteId=s&limit=1", "userId=*"} {
		require.Empty(t, plans(p.alice, query).Decisions, query)
	}
}

// runsHers starts backups of both's schedules with one key: it is each caller's own.
func (p *pair) runsHers(t *testing.T) {
	t.Helper()
	run := func(as *tenant) httpapi.Backup {
		a := p.ask(t, as, wire{method: http.MethodPost, path: "/schedule/" + as.schedules[0] + "/run", headers: []string{"Idempotency-Key: key of run"}})
		require.Equal(t, http.StatusAccepted, a.StatusCode, "%s", a.body)
		return decode[httpapi.Backup](t, a)
	}
	theirs, own := run(p.bob), run(p.alice)
	require.Equal(t, []string{bob, p.bob.schedules[0]}, []string{theirs.UserID, theirs.ScheduleID})
	require.Equal(t, []string{alice, p.alice.schedules[0]}, []string{own.UserID, own.ScheduleID})
	require.NotEqual(t, theirs.ID, own.ID)
	requireProblem(t, p.ask(t, p.alice, wire{method: http.MethodGet, path: "/backup/" + theirs.ID}), 404, httpapi.CodeNotFound)
}

// erasesHers asks for what is bob's, and for what there isn't, to be erased: alice is told
// the same of both. What is her own is refused because she holds it.
func (p *pair) erasesHers(t *testing.T) {
	t.Helper()
	erase := func(path string) answer {
		return p.ask(t, p.alice, wire{method: http.MethodDelete, path: "/user/" + path + "/backup"})
	}
	none := erase("bob-none")
	requireProblem(t, none, 403, httpapi.CodeForbidden)
	for _, path := range []string{bob, bob + "/site/s", bob + "/site/slow", bob + "/site/none", bob + "/site/gone", "*", "%2a"} {
		require.Equal(t, told(none), told(erase(path)), path)
	}
	for _, path := range []string{alice, alice + "/site/s"} {
		require.Equal(t, p.alice.done, requireProblem(t, erase(path), 409, httpapi.CodeHeld).BackupID)
	}
}
