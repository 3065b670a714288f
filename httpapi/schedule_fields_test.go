package httpapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
)

// Each bad field is named, with its rule, to POST and PUT alike.
func TestScheduleBadFields(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	s, _ := b.scheduled(t, `{"userId":"u","siteId":"s","name":"first","cron":"@daily"}`)
	const duration = "must be a duration such as"
	for members, want := range map[string][]string{
		`"cron":"0 25 * * *"`:          {"body.cron", "25"},
		`"cron":"0 0 * *"`:             {"body.cron", "must"},
		`"cron":"0 0 31 2 *"`:          {"body.cron", ""},
		`"cron":""`:                    {"body.cron", ""},
		`"cron":7`:                     {"body.cron", "must be a string"},
		`"cron":null`:                  {"body.cron", "is required"},
		`"cron":"@every 1s"`:           {"body.cron", "@every"},
		`"timeZone":"Mars/Base"`:       {"body.timeZone", ""},
		`"timeZone":"Local"`:           {"body.timeZone", ""},
		`"spread":"5m"`:                {"body.spread", duration},
		`"spread":3600`:                {"body.spread", duration},
		`"spread":""`:                  {"body.spread", duration},
		`"spread":"25h"`:               {"body.spread", "at most 24 hours"},
		`"catchUp":"all"`:              {"body.catchUp", "none or last"},
		`"overlap":"wait"`:             {"body.overlap", "skip, queue or allow"},
		`"overlap":1`:                  {"body.overlap", "skip, queue or allow"},
		`"startingDeadline":"-1h"`:     {"body.startingDeadline", duration},
		`"startingDeadline":"20y"`:     {"body.startingDeadline", "at most 10 years"},
		`"startingDeadline":"59s"`:     {"body.startingDeadline", "must be whole seconds, at least a minute and at most 10 years"},
		`"maxAge":"59s"`:               {"body.maxAge", "at least a minute"},
		`"paused":"yes"`:               {"body.paused", "must be a boolean"},
		`"providers":["none"]`:         {"body.providers", "configured"},
		`"providers":[null]`:           {"body.providers", "array of strings"},
		`"labels":{"":"v"}`:            {"body.labels", "keys of 1 to 63"},
		`"sizeLimit":-1`:               {"body.sizeLimit", "negative"},
		`"retention":[]`:               {"body.retention", "must be an object"},
		`"retention":{}`:               {"body.retention", "must keep something"},
		`"retention":{"keepLast":-1}`:  {"body.retention.keepLast", "between 0 and 100000"},
		`"retention":{"keepLast":1.5}`: {"body.retention.keepLast", "whole number"},
		`"retention":{"keepWithin":"6m","keepLast":1}`:  {"body.retention.keepWithin", duration},
		`"retention":{"keepLast":1,"keepFailed":7}`:     {"body.retention.keepFailed", duration},
		`"retention":{"keepLast":1,"keepForever":true}`: {"body.retention.keepForever", "is not known"},
		`"id":"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`:   {"body.id", "is not known"},
		`"declared":true`: {"body.declared", "is not known"},
	} {
		if !strings.HasPrefix(members, `"cron"`) {
			members += `,"cron":"@daily"`
		}
		for _, a := range []answer{
			b.at(t, http.MethodPost, "/schedule", `{"userId":"u","siteId":"s",`+members+`}`),
			b.at(t, http.MethodPut, "/schedule/"+s.ID, `{`+members+`}`),
		} {
			p := requireProblem(t, a, 422, httpapi.CodeValidationFailed)
			require.Len(t, p.Errors, 1, members)
			require.Equal(t, want[0], p.Errors[0].Location, members)
			require.Contains(t, p.Errors[0].Message, want[1], members)
			require.NotEmpty(t, p.Errors[0].Message)
		}
	}
	for members, location := range map[string]string{
		`"userId":"","siteId":"s"`: "body.userId", `"userId":"u"`: "body.siteId", `"userId":"u","siteId":"s","name":""`: "body.name",
		`"userId":"u","siteId":"s","name":"a b"`: "body.name", `"userId":"u","siteId":"s","name":"` + strings.Repeat("n", 64) + `"`: "body.name",
	} {
		p := requireProblem(t, b.at(t, http.MethodPost, "/schedule", `{"cron":"@daily",`+members+`}`), 422, httpapi.CodeValidationFailed)
		require.Equal(t, location, p.Errors[0].Location, members)
	}
	p := requireProblem(t, b.at(t, http.MethodPost, "/schedule", `{"timeZone":1,"retention":{"a":1,"keepLast":"x"},"b":2}`), 422, httpapi.CodeValidationFailed)
	var all []string
	for _, e := range p.Errors {
		all = append(all, e.Location)
	}
	require.Equal(t, []string{"body.userId", "body.siteId", "body.cron", "body.timeZone", "body.retention.keepLast", "body.retention.a", "body.b"}, all)
	p = requireProblem(t, b.at(t, http.MethodPut, "/schedule/"+s.ID, `{"cron":"@daily","userId":"u"}`), 422, httpapi.CodeValidationFailed)
	require.Equal(t, "body.userId", p.Errors[0].Location, "whose it is can't be changed")

	names, _ := b.schedules(t, "")
	require.Equal(t, []string{"u/s/first"}, names, "nothing was made")
	require.Equal(t, "@daily", decode[httpapi.Schedule](t, b.get(t, "/schedule/"+s.ID)).Cron)
}

func TestScheduleBadQueries(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	s, _ := b.scheduled(t, nightly)
	for path, location := range map[string]string{
		"/schedule?limit=0": "query.limit", "/schedule?limit=201": "query.limit", "/schedule?alert=yes": "query.alert", "/schedule?cursor=x": "query.cursor",
		"/schedule?userId=": "query.userId", "/schedule?name=a&name=b": "query.name",
		"/schedule/" + s.ID + "/next?count=0": "query.count", "/schedule/" + s.ID + "/next?count=101": "query.count",
		"/schedule/" + s.ID + "/slot?limit=x": "query.limit", "/schedule/" + s.ID + "/slot?cursor=x": "query.cursor",
		"/schedule/" + s.ID + "/slot?cursor=0000-01-01T00:00:00Z": "query.cursor", "/backup?scheduleId=": "query.scheduleId",
	} {
		p := requireProblem(t, b.get(t, path), 422, httpapi.CodeValidationFailed)
		require.Equal(t, location, p.Errors[0].Location, path)
	}
	p := requireProblem(t, b.at(t, http.MethodPost, "/schedule/"+s.ID+"/run", "", "Idempotency-Key: "+strings.Repeat("k", 256)), 422, httpapi.CodeValidationFailed)
	require.Equal(t, "header.Idempotency-Key", p.Errors[0].Location)
	requireProblem(t, b.do(t, http.MethodPut, "/schedule/"+s.ID, "text/plain", strings.NewReader("{}")), 415, httpapi.CodeUnsupportedMediaType)
	requireProblem(t, b.at(t, http.MethodPut, "/schedule/"+s.ID, "{"), 400, httpapi.CodeInvalidRequest)
}

// A tenant's schedules are not there for another one, through every operation.
func TestSchedulesOfTenants(t *testing.T) {
	t.Parallel()
	options, secrets := authorize(t,
		httpapi.Token{Name: "mine", Scopes: readWrite, Users: []string{"u"}}, httpapi.Token{Name: "other", Scopes: readWrite, Users: []string{"o"}},
		httpapi.Token{Name: "site", Scopes: readWrite, Sites: []string{"t*"}},
		httpapi.Token{Name: "reader", Scopes: httpapi.ScopeRead}, httpapi.Token{Name: "writer", Scopes: httpapi.ScopeWrite})
	options.RateLimit.PerSecond = 1000
	b := setup(t, settings{options: options})
	mine, other := b.as(secrets["mine"]), b.as(secrets["other"])
	s, _ := mine.scheduled(t, nightly)
	o, _ := other.scheduled(t, `{"userId":"o","siteId":"t1","cron":"@daily"}`)
	for _, op := range []struct{ method, verb, body string }{
		{http.MethodGet, "", ""}, {http.MethodPut, "", `{"cron":"@hourly"}`}, {http.MethodDelete, "", ""}, {http.MethodPost, "/pause", ""},
		{http.MethodPost, "/resume", ""}, {http.MethodPost, "/run", ""}, {http.MethodGet, "/next", ""}, {http.MethodGet, "/slot", ""},
	} {
		theirs := requireProblem(t, other.at(t, op.method, "/schedule/"+s.ID+op.verb, op.body, "If-Match: \"x\""), 404, httpapi.CodeNotFound)
		none := requireProblem(t, other.at(t, op.method, "/schedule/"+unused+op.verb, op.body, "If-Match: \"x\""), 404, httpapi.CodeNotFound)
		require.Equal(t, none.Detail, theirs.Detail)
		for _, bad := range []string{"x", "%00", "%ff", "a%2Fb", strings.Repeat("9", 4000)} {
			requireProblem(t, mine.at(t, op.method, "/schedule/"+bad+op.verb, op.body), 404, httpapi.CodeNotFound)
		}
		without := "reader"
		if op.method == http.MethodGet {
			without = "writer"
		}
		requireProblem(t, b.as(secrets[without]).at(t, op.method, "/schedule/"+s.ID+op.verb, op.body), 403, httpapi.CodeForbidden)
	}
	requireProblem(t, other.at(t, http.MethodPost, "/schedule", nightly), 403, httpapi.CodeForbidden)
	requireProblem(t, b.as(secrets["reader"]).at(t, http.MethodPost, "/schedule", nightly), 403, httpapi.CodeForbidden)
	requireProblem(t, b.as(secrets["writer"]).get(t, "/schedule"), 403, httpapi.CodeForbidden)
	for who, want := range map[string][]string{"mine": {"u/s/default"}, "other": {"o/t1/default"}, "site": {"o/t1/default"}, "reader": {"u/s/default", "o/t1/default"}} {
		names, _ := b.as(secrets[who]).schedules(t, "")
		require.Equal(t, want, names, who)
	}
	names, _ := other.schedules(t, "?userId=u")
	require.Empty(t, names)
	names, _ = other.schedules(t, "?limit=1&cursor="+s.ID) // a place, not a name
	require.Equal(t, []string{"o/t1/default"}, names)
	require.Equal(t, "30 2 * * *", decode[httpapi.Schedule](t, mine.get(t, "/schedule/"+s.ID)).Cron)

	run := other.at(t, http.MethodPost, "/schedule/"+o.ID+"/run", "", "Idempotency-Key: k")
	require.Equal(t, http.StatusAccepted, run.StatusCode)
	require.Equal(t, http.StatusAccepted, mine.at(t, http.MethodPost, "/schedule/"+s.ID+"/run", "", "Idempotency-Key: k").StatusCode, "a key is one caller's own")
	require.Empty(t, mine.list(t, "?scheduleId="+o.ID).Backups)
}

func TestListSchedules(t *testing.T) {
	t.Parallel()
	c := clockAt(t, "2026-01-01T00:00:00Z")
	b := setup(t, settings{now: c.Now})
	var want []string
	for _, user := range []string{"a", "ü/ 1", "b"} {
		for _, name := range []string{"x", "y"} {
			b.scheduled(t, `{"userId":"`+user+`","siteId":"s","name":"`+name+`","cron":"@daily","maxAge":"1h"}`)
			want = append(want, user+"/s/"+name)
		}
	}
	for query, places := range map[string][]int{
		"": {0, 1, 2, 3, 4, 5}, "?userId=a": {0, 1}, "?userId=%C3%BC%2F+1&name=y": {3}, "?name=x": {0, 2, 4}, "?siteId=t": nil, "?siteId=s&limit=1": {0},
		"?userId=%00": nil, "?alert=false": {0, 1, 2, 3, 4, 5}, "?alert=true": nil, "?unknown=1&limit=200": {0, 1, 2, 3, 4, 5},
	} {
		var expected []string
		for _, i := range places {
			expected = append(expected, want[i])
		}
		names, _ := b.schedules(t, query)
		require.Equal(t, expected, names, query)
	}
	require.Contains(t, string(b.get(t, "/schedule?userId=nobody").body), `"schedules":[]`)
	var got []string
	for cursor := ""; ; {
		query := "?limit=4"
		if cursor != "" {
			query += "&cursor=" + url.QueryEscape(cursor)
		}
		var names []string
		names, cursor = b.schedules(t, query)
		if got = append(got, names...); cursor == "" {
			break
		}
	}
	require.Equal(t, want, got)
}
