package httpapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi"
)

// op is an operation of the OpenAPI description, from which the tests over all
// operations make their requests: one that is added later, or a parameter, is
// among them by itself.
type op struct {
	*huma.Operation
	doc *huma.OpenAPI
}

// operationsOf are all operations of the server's own description, by name.
var operationsOf = sync.OnceValues(func() (map[string]op, error) {
	client, err := backup.New(&backup.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	to := humago.New(http.NewServeMux(), huma.DefaultConfig("", ""))
	httpapi.Register(to, client, nil)
	doc, all := to.OpenAPI(), make(map[string]op)
	for _, item := range doc.Paths {
		for _, o := range []*huma.Operation{item.Get, item.Put, item.Post, item.Delete, item.Options, item.Head, item.Patch, item.Trace} {
			if o == nil {
				continue
			}
			all[o.OperationID] = op{o, doc}
			for _, answer := range o.Responses {
				for _, content := range answer.Content {
					content.Schema.PrecomputeMessages()
				}
			}
		}
	}
	for _, schema := range doc.Components.Schemas.Map() {
		schema.PrecomputeMessages()
	}
	return all, nil
})

func allOperations(t testing.TB) map[string]op {
	t.Helper()
	all, err := operationsOf()
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(all), 24)
	return all
}

// needs are the names of the scopes that the operation is declared to need.
func (o op) needs() []string {
	var all []string
	for _, requirement := range o.Security {
		for _, scopes := range requirement {
			all = append(all, scopes...)
		}
	}
	return all
}

// named reports whether the operation is about something, such as a backup, whose id is
// in its path.
func (o op) named() bool { return strings.Contains(o.Path, "{id}") }

// declares reports whether the operation has a parameter that is this header.
func (o op) declares(header string) bool {
	return slices.ContainsFunc(o.Parameters, func(p *huma.Param) bool { return p.In == "header" && p.Name == header })
}

// body is the schema of the request's body, or nil.
func (o op) body() *huma.Schema {
	if o.RequestBody == nil {
		return nil
	}
	return o.resolve(o.RequestBody.Content["application/json"].Schema)
}

func (o op) resolve(s *huma.Schema) *huma.Schema {
	if s != nil && s.Ref != "" {
		return o.doc.Components.Schemas.SchemaFromRef(s.Ref)
	}
	return s
}

// route is the operation that a request is for.
func route(all map[string]op, method, path string) (op, bool) {
	segments := strings.Split(path, "/")
	find := func(method string) (op, bool) {
		for _, o := range all {
			fits := func(part, s string) bool { return part == s || strings.HasPrefix(part, "{") && s != "" }
			if o.Method == method && slices.EqualFunc(strings.Split(o.Path, "/"), segments, fits) {
				return o, true
			}
		}
		return op{}, false
	}
	o, ok := find(method)
	if !ok && method == http.MethodHead {
		return find(http.MethodGet)
	}
	return o, ok
}

// judge says what of an answer the operation doesn't declare. Nothing may be
// answered with a status of 500 and more.
func (o op) judge(method string, res *http.Response, body []byte) error {
	if res.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	want := o.Responses[strconv.Itoa(res.StatusCode)]
	if want == nil {
		return fmt.Errorf("status %d isn't declared", res.StatusCode)
	}
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if res.StatusCode >= http.StatusBadRequest {
		if method == http.MethodHead {
			return nil
		}
		return o.judgeProblem(res, body, want)
	}
	content := want.Content[media]
	switch {
	case method == http.MethodHead, len(want.Content) == 0 && len(body) == 0, want.Content["*/*"] != nil:
		return nil
	case content == nil:
		return fmt.Errorf("content type %q isn't declared for %d", media, res.StatusCode)
	case res.StatusCode == http.StatusPartialContent:
		return nil // a part is none of the whole's kind
	case media == "text/event-stream":
		return o.judgeEvents(content.Schema, body)
	}
	return o.validate(content.Schema, body)
}

func (o op) judgeProblem(res *http.Response, body []byte, want *huma.Response) error {
	p, err := judgeProblem(res, body)
	if err != nil {
		return err
	}
	codes, _ := want.Extensions["x-codes"].([]httpapi.Code)
	if !slices.Contains(codes, p.Code) {
		return fmt.Errorf("code %s isn't declared for %d", p.Code, res.StatusCode)
	}
	return o.validate(want.Content["application/problem+json"].Schema, body)
}

// judgeProblem checks a refusal, of whatever path: a problem document whose code is
// on the published list, with that code's status.
func judgeProblem(res *http.Response, body []byte) (p httpapi.Problem, err error) {
	if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
		return p, fmt.Errorf("content type %q", got)
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return p, err
	}
	listed := slices.ContainsFunc(httpapi.Codes(), func(i httpapi.CodeInfo) bool { return i.Code == p.Code && i.Status == res.StatusCode })
	if !listed || p.Status != res.StatusCode || p.Title == "" || p.RequestID != res.Header.Get("X-Request-Id") {
		return p, errors.New("the problem isn't as published")
	}
	if p.Code == httpapi.CodeValidationFailed && len(p.Errors) == 0 {
		return p, errors.New("no field is named")
	}
	return p, nil
}

func (o op) validate(schema *huma.Schema, body []byte) error {
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return err
	}
	return o.validateValue(schema, v)
}

func (o op) validateValue(schema *huma.Schema, v any) error {
	var found huma.ValidateResult
	huma.Validate(o.doc.Components.Schemas, schema, huma.NewPathBuffer([]byte("body"), 4), huma.ModeReadFromServer, v, &found)
	return errors.Join(found.Errors...)
}

// judgeEvents validates each message of a stream.
func (o op) judgeEvents(schema *huma.Schema, body []byte) error {
	for part := range bytes.SplitSeq(body, []byte("\n\n")) {
		m := make(map[string]any)
		for line := range strings.Lines(string(part)) {
			field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			switch field {
			case "data":
				var data any
				if err := json.Unmarshal([]byte(value), &data); err != nil {
					return err
				}
				m[field] = data
			case "id", "retry":
				n, err := strconv.ParseInt(value, 10, 64)
				if err != nil {
					return err
				}
				m[field] = float64(n)
			case "event":
				m[field] = value
			}
		}
		if m["data"] == nil {
			continue
		}
		if err := o.validateValue(schema.Items, m); err != nil {
			return fmt.Errorf("message %s: %w", part, err)
		}
	}
	return nil
}

func TestJudgeRefusesWhatIsNot(t *testing.T) {
	t.Parallel()
	o := allOperations(t)["streamBackupEvents"]
	judge := func(status int, contentType, body string) error {
		return o.judge(http.MethodGet, &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {contentType}, "X-Request-Id": {"r"}}}, []byte(body))
	}
	const problem, stream = "application/problem+json", "text/event-stream"
	const gone = `"title":"Not Found","status":404,"detail":"d","requestId":"r"`
	require.NoError(t, judge(404, problem, `{"code":"not_found",`+gone+`}`))
	require.NoError(t, judge(204, "", ""))
	require.NoError(t, judge(200, stream, "retry: 1\n\nevent: end\ndata: {\"status\":\"done\",\"lastEventId\":1}\n\n:\n\n"))
	require.ErrorContains(t, judge(200, stream, "event: end\ndata: {\"status\":\"new\",\"lastEventId\":1}\n\n"), "message")
	require.ErrorContains(t, judge(200, "text/plain", "x"), "content type")
	require.ErrorContains(t, judge(404, "text/plain", "x"), "content type")
	require.ErrorContains(t, judge(404, problem, `{"code":"held",`+gone+`}`), "as published")
	require.ErrorContains(t, judge(404, problem, `{"code":"not_found","more":1,`+gone+`}`), "unexpected property")
	require.ErrorContains(t, judge(418, problem, ``), "status 418")
	require.ErrorContains(t, judge(503, problem, ``), "status 503")
}
