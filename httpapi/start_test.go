package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi"
)

func TestStartAndGet(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	a := b.post(t, `{
    "userId": "658683afc91423af04d82152",
    "siteId": "658683afc91423af04d82153"
}`)
	require.Equal(t, http.StatusAccepted, a.StatusCode, "%s", a.body)
	require.Equal(t, "application/json", a.Header.Get("Content-Type"))
	started := decode[httpapi.Backup](t, a)
	require.Equal(t, "/backup/"+started.ID, a.Header.Get("Location"))
	require.Equal(t, "pending", started.Status)
	require.Equal(t, "658683afc91423af04d82152", started.UserID)
	require.Equal(t, "658683afc91423af04d82153", started.SiteID)
	require.Contains(t, string(a.body), `"tasks":[]`)

	stored, err := b.client.Get(t.Context(), started.ID)
	require.NoError(t, err)
	require.Equal(t, backup.StatePending, stored.State)

	a = b.get(t, a.Header.Get("Location"))
	require.Equal(t, http.StatusOK, a.StatusCode)
	require.Equal(t, "private, no-cache", a.Header.Get("Cache-Control"), "a cache must ask each time")
	require.Equal(t, started, decode[httpapi.Backup](t, a))
}

func TestStartWithEverything(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	a := b.do(t, http.MethodPost, "/backup", "Application/JSON; charset=UTF-8", strings.NewReader(
		`{"userId":"ü/ 1","siteId":"s","providers":["site","db","site"],"labels":{"why":"upgrade"},"continueOnFailure":true}`))
	require.Equal(t, http.StatusAccepted, a.StatusCode, "%s", a.body)
	got := decode[httpapi.Backup](t, a)
	require.Equal(t, "ü/ 1", got.UserID)
	require.Equal(t, []string{"db", "site"}, got.Providers)
	require.Equal(t, map[string]string{"why": "upgrade"}, got.Labels)
	require.True(t, got.ContinueOnFailure)
}

func TestStartTakesNullForNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	a := b.post(t, `{"userId":"u","siteId":"s","providers":null,"labels":null,"continueOnFailure":null}`)
	require.Equal(t, http.StatusAccepted, a.StatusCode, "%s", a.body)
}

func TestStartRefusesBodies(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	long, limit := strings.Repeat("a", 201), 64<<10
	tests := map[string]struct {
		body   string
		status int
		code   httpapi.Code
		errors []httpapi.FieldError
	}{
		"nothing":            {"", 400, httpapi.CodeInvalidRequest, nil},
		"not JSON":           {`{"userId"`, 400, httpapi.CodeInvalidRequest, nil},
		"more than one":      {`{"userId":"u","siteId":"s"}{}`, 400, httpapi.CodeInvalidRequest, nil},
		"not UTF-8":          {"{\"userId\":\"\xff\",\"siteId\":\"s\"}", 400, httpapi.CodeInvalidRequest, nil},
		"too deep":           {strings.Repeat("[", 20_000), 400, httpapi.CodeInvalidRequest, nil},
		"too large":          {`{"userId":"u","siteId":"s"` + strings.Repeat(" ", limit) + `}`, 413, httpapi.CodeBodyTooLarge, nil},
		"array":              {`[]`, 422, httpapi.CodeValidationFailed, []httpapi.FieldError{{"body", "must be an object"}}},
		"null":               {`null`, 422, httpapi.CodeValidationFailed, []httpapi.FieldError{{"body", "must be an object"}}},
		"no ids":             {`{}`, 422, httpapi.CodeValidationFailed, []httpapi.FieldError{{"body.userId", "is required"}, {"body.siteId", "is required"}}},
		"null id":            {`{"userId":null,"siteId":"s"}`, 422, httpapi.CodeValidationFailed, []httpapi.FieldError{{"body.userId", "is required"}}},
		"empty user":         {`{"userId":"","siteId":"s"}`, 422, httpapi.CodeValidationFailed, []httpapi.FieldError{{"body.userId", "must not be empty"}}},
		"empty site":         {`{"userId":"u","siteId":""}`, 422, httpapi.CodeValidationFailed, []httpapi.FieldError{{"body.siteId", "must not be empty"}}},
		"overlong user":      {`{"userId":"` + long + `","siteId":"s"}`, 422, httpapi.CodeValidationFailed, []httpapi.FieldError{{"body.userId", "must have at most 200 bytes when percent-encoded"}}},
		"overlong encoded":   {`{"userId":"u","siteId":"` + strings.Repeat("ü", 34) + `"}`, 422, httpapi.CodeValidationFailed, []httpapi.FieldError{{"body.siteId", "must have at most 200 bytes when percent-encoded"}}},
		"control character":  {`{"userId":"u\u0000","siteId":"s"}`, 422, httpapi.CodeValidationFailed, []httpapi.FieldError{{"body.userId", "must not have control characters"}}},
		"number for an id":   {`{"userId":1,"siteId":"s"}`, 422, httpapi.CodeValidationFailed, []httpapi.FieldError{{"body.userId", "must be a string"}}},
		"misspelt member":    {`{"userId":"u","siteId":"s","siteID":"x"}`, 422, httpapi.CodeValidationFailed, []httpapi.FieldError{{"body.siteID", "is not known"}}},
		"unknown provider":   {`{"userId":"u","siteId":"s","providers":["mail"]}`, 422, httpapi.CodeValidationFailed, []httpapi.FieldError{{"body.providers", "must name configured providers only"}}},
		"provider a string":  {`{"userId":"u","siteId":"s","providers":"site"}`, 422, httpapi.CodeValidationFailed, []httpapi.FieldError{{"body.providers", "must be an array of strings"}}},
		"null provider":      {`{"userId":"u","siteId":"s","providers":["site",null]}`, 422, httpapi.CodeValidationFailed, []httpapi.FieldError{{"body.providers", "must be an array of strings"}}},
		"null label":         {`{"userId":"u","siteId":"s","labels":{"a":null}}`, 422, httpapi.CodeValidationFailed, []httpapi.FieldError{{"body.labels", "must be an object of strings"}}},
		"label not a string": {`{"userId":"u","siteId":"s","labels":{"a":1}}`, 422, httpapi.CodeValidationFailed, []httpapi.FieldError{{"body.labels", "must be an object of strings"}}},
		"flag not a boolean": {`{"userId":"u","siteId":"s","continueOnFailure":"yes"}`, 422, httpapi.CodeValidationFailed, []httpapi.FieldError{{"body.continueOnFailure", "must be a boolean"}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := requireProblem(t, b.post(t, test.body), test.status, test.code)
			require.Equal(t, test.errors, p.Errors)
		})
	}
}

func TestStartTakesTheLargestBody(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	body := `{"userId":"u","siteId":"s"}`
	a := b.post(t, body+strings.Repeat(" ", 64<<10-len(body)))
	require.Equal(t, http.StatusAccepted, a.StatusCode)
	requireProblem(t, b.post(t, body+strings.Repeat(" ", 64<<10-len(body)+1)), 413, httpapi.CodeBodyTooLarge)
}

func TestStartRefusesContentTypes(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	for _, contentType := range []string{
		"", "text/plain", "application/x-www-form-urlencoded", "json", "application/json+xml", "text/json",
		"application/json; charset=iso-8859-1", "application/json;", "multipart/form-data", ";;",
	} {
		a := b.do(t, http.MethodPost, "/backup", contentType, strings.NewReader(`{"userId":"u","siteId":"s"}`))
		if contentType == "application/json;" { // sloppy, and clear
			require.Equal(t, http.StatusAccepted, a.StatusCode)
			continue
		}
		requireProblem(t, a, 415, httpapi.CodeUnsupportedMediaType)
	}
}

// FuzzStart looks for a body that is answered by anything but what clients are
// told to expect.
func FuzzStart(f *testing.F) {
	b := setup(f, settings{})
	for _, body := range []string{
		`{"userId":"658683afc91423af04d82152","siteId":"658683afc91423af04d82153"}`,
		`{"userId":"u","siteId":"s","providers":["site"],"labels":{"a":"b"},"continueOnFailure":true}`,
		`{"userId":"\ud800","siteId":"\u0000"}`, `{"userId":1e999,"siteId":[]}`, `{"labels":{"":""}}`, "\xef\xbb\xbf{}", `{"a":{"b":[1,2,{"c":null}]}}`,
		`{"userId":"u","userId":"v","siteId":"s"}`, `"x"`, `1`, `true`, "\x00", strings.Repeat("[", 1000),
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		a := b.post(t, body)
		switch a.StatusCode {
		case http.StatusAccepted:
			require.NotEmpty(t, decode[httpapi.Backup](t, a).ID)
		case http.StatusBadRequest:
			requireProblem(t, a, a.StatusCode, httpapi.CodeInvalidRequest)
		case http.StatusRequestEntityTooLarge:
			requireProblem(t, a, a.StatusCode, httpapi.CodeBodyTooLarge)
		case http.StatusUnprocessableEntity:
			require.NotEmpty(t, requireProblem(t, a, a.StatusCode, httpapi.CodeValidationFailed).Errors)
		default:
			t.Fatalf("status %d: %s", a.StatusCode, a.body)
		}
	})
}
