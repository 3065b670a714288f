package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi"
)

// describe is the OpenAPI description that every server here has.
var describe = sync.OnceValues(func() (openAPI, error) {
	var doc openAPI
	client, err := backup.New(&backup.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return doc, err
	}
	handler, err := httpapi.NewHandler(client, nil)
	if err != nil {
		return doc, err
	}
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
	return doc, json.Unmarshal(rec.Body.Bytes(), &doc)
})

func description(t testing.TB) openAPI {
	t.Helper()
	doc, err := describe()
	require.NoError(t, err)
	return doc
}

// declared is a transport that fails where a server answers what the OpenAPI
// description doesn't say of the operation: every request of these tests goes
// through it.
type declared struct{ http.RoundTripper }

func (d declared) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := d.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	doc, err := describe()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	_ = res.Body.Close()
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(data))
	if err := doc.check(req, res, data); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", req.Method, req.URL, err, data)
	}
	return res, nil
}

// check says what of the answer isn't declared.
func (doc *openAPI) check(req *http.Request, res *http.Response, body []byte) error {
	path := strings.TrimPrefix(req.URL.EscapedPath(), "/v1")
	item := doc.find(path)
	method := strings.ToLower(req.Method)
	if method == "head" {
		method, body = "get", nil
	}
	op, ok := item[method]
	if !ok {
		return nil // not one of the operations
	}
	want, ok := op.Responses[strconv.Itoa(res.StatusCode)]
	if !ok {
		return fmt.Errorf("status %d is not declared", res.StatusCode)
	}
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	_, anything := want.Content["*/*"]
	if _, ok := want.Content[media]; !ok && !anything && len(want.Content)+len(body) > 0 {
		return fmt.Errorf("content type %q is not declared for %d", media, res.StatusCode)
	}
	for _, name := range []string{"ETag", "Location"} {
		if _, ok := want.Headers[name]; ok && res.Header.Get(name) == "" {
			return fmt.Errorf("header %s is declared for %d", name, res.StatusCode)
		}
	}
	if err := validate(req.Method, path, res.StatusCode, media, body); err != nil {
		return err
	}
	if media != "application/problem+json" || body == nil {
		return nil
	}
	var p httpapi.Problem
	if err := json.Unmarshal(body, &p); err != nil {
		return err
	}
	if !slices.Contains(want.Codes, p.Code) {
		return fmt.Errorf("code %s is not declared for %d", p.Code, res.StatusCode)
	}
	for name := range want.Headers {
		if name == "Retry-After" && res.Header.Get(name) == "" {
			return fmt.Errorf("header %s is declared for %d", name, res.StatusCode)
		}
	}
	return nil
}

// validate says what of a body isn't as the schema says that is declared for it.
func validate(method, path string, status int, media string, body []byte) error {
	all, err := operationsOf()
	if err != nil {
		return err
	}
	o, ok := route(all, method, path)
	if !ok || body == nil || status == http.StatusPartialContent { // a part is none of the whole's kind
		return nil
	}
	if content := o.Responses[strconv.Itoa(status)].Content[media]; content != nil && strings.HasSuffix(media, "json") {
		return o.validate(content.Schema, body)
	}
	return nil
}

// find is what is declared for a path.
func (doc *openAPI) find(path string) map[string]operation {
	segments := strings.Split(path, "/")
	for template, item := range doc.Paths {
		parts := strings.Split(template, "/")
		if slices.EqualFunc(parts, segments, func(p, s string) bool { return p == s || strings.HasPrefix(p, "{") && s != "" && s != ".." }) {
			return item
		}
	}
	return nil
}

func TestDeclaredRefusesWhatIsNot(t *testing.T) {
	t.Parallel()
	doc := description(t)
	req := httptest.NewRequest(http.MethodGet, "/backup/x", nil)
	answer := func(status int, contentType string) *http.Response {
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {contentType}}}
	}
	const problem = "application/problem+json"
	const notFound = `{"title":"Not Found","status":404,"code":"not_found"`
	require.NoError(t, doc.check(req, answer(404, problem), []byte(notFound+"}")))
	require.NoError(t, doc.check(httptest.NewRequest(http.MethodGet, "/other", nil), answer(599, ""), nil))
	require.ErrorContains(t, doc.check(req, answer(418, problem), nil), "status 418")
	require.ErrorContains(t, doc.check(req, answer(404, problem), []byte(strings.Replace(notFound, "not_found", "internal", 1)+"}")), "code internal")
	require.ErrorContains(t, doc.check(req, answer(404, problem), []byte(notFound+`,"other":1}`)), "unexpected property")
	require.ErrorContains(t, doc.check(req, answer(200, "application/json"), []byte("{}")), "header ETag")
	require.ErrorContains(t, doc.check(req, answer(404, "text/plain"), []byte("x")), "content type")
	require.ErrorContains(t, doc.check(req, answer(503, problem), []byte(`{"title":"Service Unavailable","status":503,"code":"unavailable"}`)), "header Retry-After")
}
