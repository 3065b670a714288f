package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
	"github.com/sitebackup/sitebackup/internal/memblob"
)

func TestCancelRetryDelete(t *testing.T) {
	t.Parallel()
	es, store := exports(), memblob.New()
	b := setup(t, settings{store: store, exports: es})
	hold := make(chan struct{})
	es["site"].pause(hold)
	id := b.started(t, start).ID
	b.awaitStatus(t, id, "running")

	p := requireProblem(t, b.verb(t, http.MethodDelete, id, "", ""), 409, httpapi.CodeStateConflict)
	require.Equal(t, "It isn't possible to delete a backup that is running.", p.Detail)
	requireProblem(t, b.verb(t, http.MethodPost, id, "/retry", ""), 409, httpapi.CodeStateConflict)
	a := b.verb(t, http.MethodPost, id, "/cancel", "")
	require.Equal(t, http.StatusAccepted, a.StatusCode, "%s", a.body)
	b.awaitStatus(t, id, "canceled")
	require.Equal(t, http.StatusAccepted, b.verb(t, http.MethodPost, id, "/cancel", "").StatusCode, "twice is no error")

	es["site"].pause(nil)
	close(hold)
	a = b.verb(t, http.MethodPost, id, "/retry", "")
	require.Equal(t, http.StatusAccepted, a.StatusCode, "%s", a.body)
	v := b.awaitStatus(t, id, "done")
	require.Equal(t, int64(300_010), *v.Progress.TotalBytes)
	requireProblem(t, b.verb(t, http.MethodPost, id, "/cancel", ""), 409, httpapi.CodeStateConflict)
	requireProblem(t, b.verb(t, http.MethodPost, id, "/retry", ""), 409, httpapi.CodeStateConflict)

	a = b.verb(t, http.MethodDelete, id, "", "")
	require.Equal(t, http.StatusAccepted, a.StatusCode, "%s", a.body)
	require.Equal(t, "deleting", decode[httpapi.Backup](t, a).Status)
	eventually(t, func() bool { return b.get(t, "/backup/"+id).StatusCode == http.StatusNotFound })
	for o, err := range store.List(t.Context(), "") {
		require.NoError(t, err)
		require.Fail(t, "it is still there", o.Key)
	}
	requireProblem(t, b.verb(t, http.MethodDelete, id, "", ""), 404, httpapi.CodeNotFound)
}

func TestHold(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	id := b.started(t, start).ID
	hold := func(body, reason string) {
		a := b.verb(t, http.MethodPost, id, "/hold", body)
		require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.body)
		require.Equal(t, reason, decode[httpapi.Backup](t, a).Hold.Reason)
	}
	hold("", "")
	require.Equal(t, http.StatusOK, b.do(t, http.MethodPost, "/backup/"+id+"/hold", "application/json", nil).StatusCode, "many clients send the type anyway")
	hold(`{"reason":"case 4711"}`, "case 4711")
	require.Equal(t, http.StatusAccepted, b.verb(t, http.MethodPost, id, "/cancel", "").StatusCode)
	p := requireProblem(t, b.verb(t, http.MethodDelete, id, "", ""), 409, httpapi.CodeHeld)
	require.NotContains(t, p.Detail, "4711")
	a := b.verb(t, http.MethodPost, id, "/release", "")
	require.Equal(t, http.StatusOK, a.StatusCode)
	require.Nil(t, decode[httpapi.Backup](t, a).Hold)
	require.Equal(t, http.StatusAccepted, b.verb(t, http.MethodDelete, id, "", "").StatusCode)
	requireProblem(t, b.verb(t, http.MethodPost, id, "/hold", ""), 409, httpapi.CodeStateConflict)

	p = requireProblem(t, b.verb(t, http.MethodPost, id, "/hold", `{"reason":1,"x":2}`), 422, httpapi.CodeValidationFailed)
	require.Equal(t, []httpapi.FieldError{{"body.reason", "must be a string"}, {"body.x", "is not known"}}, p.Errors)
	requireProblem(t, b.do(t, http.MethodPost, "/backup/"+id+"/hold", "", strings.NewReader("{}")), 415, httpapi.CodeUnsupportedMediaType)
	requireProblem(t, b.verb(t, http.MethodPost, id, "/hold", "{"), 400, httpapi.CodeInvalidRequest)
	p = requireProblem(t, b.verb(t, http.MethodPost, id, "/hold", "{\"reason\":\"\xff\"}"), 400, httpapi.CodeInvalidRequest)
	require.Equal(t, "The body is not valid UTF-8.", p.Detail)
}

// Every operation on a backup, with the scope that it needs.
var operations = []struct {
	method, verb string
	scope        httpapi.Scopes
}{
	{http.MethodGet, "", httpapi.ScopeRead},
	{http.MethodGet, "/manifest", httpapi.ScopeRead},
	{http.MethodGet, "/tasks/site/content", httpapi.ScopeRead},
	{http.MethodPost, "/cancel", httpapi.ScopeWrite},
	{http.MethodPost, "/retry", httpapi.ScopeWrite},
	{http.MethodPost, "/verify", httpapi.ScopeWrite},
	{http.MethodDelete, "", httpapi.ScopeWrite},
	{http.MethodPost, "/hold", httpapi.ScopeAdmin},
	{http.MethodPost, "/release", httpapi.ScopeAdmin},
}

// What belongs to another tenant is as if it weren't there, through every
// operation, and stays as it is; and each wants its scope.
func TestOthersBackups(t *testing.T) {
	t.Parallel()
	const every = readWrite | httpapi.ScopeAdmin
	tokens := []httpapi.Token{{Name: "mine", Scopes: every, Users: []string{"u"}}, {Name: "other", Scopes: every, Users: []string{"o"}}}
	for _, o := range operations {
		name := "no-" + o.scope.String()
		if tokens[len(tokens)-1].Name != name {
			tokens = append(tokens, httpapi.Token{Name: name, Scopes: every &^ o.scope})
		}
	}
	options, secrets := authorize(t, tokens...)
	options.RateLimit.PerSecond = 1000
	b := setup(t, settings{options: options})
	id := b.as(secrets["mine"]).started(t, start).ID
	before := b.as(secrets["mine"]).get(t, "/backup/"+id)
	for _, o := range operations {
		theirs := requireProblem(t, b.as(secrets["other"]).verb(t, o.method, id, o.verb, ""), 404, httpapi.CodeNotFound)
		none := requireProblem(t, b.as(secrets["other"]).verb(t, o.method, unused, o.verb, ""), 404, httpapi.CodeNotFound)
		require.Equal(t, none.Detail, theirs.Detail)
		requireProblem(t, b.as(secrets["no-"+o.scope.String()]).verb(t, o.method, id, o.verb, ""), 403, httpapi.CodeForbidden)
		for _, bad := range []string{"x", "%00", "%ff", "a%2Fb", strings.Repeat("9", 4000)} {
			requireProblem(t, b.as(secrets["mine"]).verb(t, o.method, bad, o.verb, ""), 404, httpapi.CodeNotFound)
		}
	}
	require.Equal(t, string(before.body), string(b.as(secrets["mine"]).get(t, "/backup/"+id).body))
	require.Empty(t, b.as(secrets["other"]).list(t, "").Backups)
}

// A page of another site can make a browser send what has no body.
func TestVerbsRefuseOtherSites(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	id := b.started(t, start).ID
	for _, o := range operations {
		req, err := http.NewRequestWithContext(t.Context(), o.method, b.url+"/backup/"+id+o.verb, nil)
		require.NoError(t, err)
		req.Header.Set("Origin", "https://evil.example")
		a := send(t, req)
		if o.method == http.MethodGet {
			require.NotEqual(t, http.StatusForbidden, a.StatusCode)
			continue
		}
		requireProblem(t, a, 403, httpapi.CodeCrossOrigin)
	}
	b.awaitStatus(t, id, "pending")
}

func TestProviders(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	a := b.get(t, "/provider")
	require.JSONEq(t, `{"providers":[{"name":"db","minSize":1},{"name":"site","minSize":1}]}`, string(a.body))
}
