package httpapi_test

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
)

// wire is a request as its bytes are sent: Go's own client would refuse to send
// much of what a hostile one does.
type wire struct {
	method, path, query string
	host                string   // "" for one that the server is for
	headers             []string // "Name: value"
	body                string
	framing             framing
}

// framing is how a body is sent.
type framing byte

const (
	whole     framing = iota // with its length
	chunked                  // in chunks
	truncated                // with a length that is one more, and then no more
	badChunks                // with a chunk's length that is none
	framings
)

// bytes is the request with a credential.
func (w wire) bytes(token string) []byte {
	var b bytes.Buffer
	target := w.path
	if w.query != "" {
		target += "?" + w.query
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", w.method, target, cmp.Or(w.host, "backup.example.com"))
	if !slices.ContainsFunc(w.headers, func(h string) bool { return strings.HasPrefix(h, "Authorization:") }) {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", token)
	}
	for _, h := range w.headers {
		b.WriteString(h + "\r\n")
	}
	switch w.framing {
	case chunked:
		fmt.Fprintf(&b, "Transfer-Encoding: chunked\r\n\r\n")
		for piece := range slices.Chunk([]byte(w.body), 1000) {
			fmt.Fprintf(&b, "%x\r\n%s\r\n", len(piece), piece)
		}
		b.WriteString("0\r\n\r\n")
	case badChunks:
		fmt.Fprintf(&b, "Transfer-Encoding: chunked\r\n\r\n%x;a=b\r\n%sxyz\r\n\r\n", len(w.body), w.body)
	case truncated:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(w.body)+1, w.body)
	default:
		if w.body != "" || w.method == http.MethodPost {
			fmt.Fprintf(&b, "Content-Length: %d\r\n", len(w.body))
		}
		b.WriteString("\r\n" + w.body)
	}
	return b.Bytes()
}

// answerWithin is the longest that an answer may take which waits for nothing.
const answerWithin = 15 * time.Second

// exchange sends the bytes and reads the answer.
func (b *bundle) exchange(raw []byte, method string, half bool) (res *http.Response, body []byte, err error) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(answerWithin))
	_, sent := conn.Write(raw) // it may have been answered before all was sent
	if half {
		_ = conn.(*net.TCPConn).CloseWrite()
	}
	for r := bufio.NewReader(conn); ; {
		res, err = http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return nil, nil, errors.Join(err, sent)
		}
		if res.StatusCode != http.StatusContinue {
			break
		}
	}
	body, err = io.ReadAll(io.LimitReader(res.Body, 4<<20))
	if res.Header.Get("X-Request-Id") == "" {
		err = nil // net/http refuses, and leaves what it hasn't read
	}
	return res, body, errors.Join(err, res.Body.Close())
}

var longWait = regexp.MustCompile(`^[0-9]*([0-9]s|[0-9]{3}ms)$`)

// waits reports whether the request asks for a long poll.
func waits(req *http.Request) bool {
	wait := req.URL.Query().Get("wait")
	return longWait.MatchString(wait) && strings.Trim(wait, "0ms") != "" && req.Header.Get("If-None-Match") != ""
}

// unsent are those of the marks that the caller doesn't send: to be told what one
// has said oneself is no leak.
func unsent(marks []string, req *http.Request, w wire) []string {
	said := w.host + w.path + w.query + strings.Join(w.headers, "") + w.body
	if req != nil {
		said += req.URL.Path
	}
	return slices.DeleteFunc(slices.Clone(marks), func(mark string) bool { return leaks(said, []string{mark}) != "" })
}

// attempt sends a request and says what is wrong with the answer. One that would be
// waited for isn't sent: its status is 0.
func (p *pair) attempt(all map[string]op, w wire, token string, secret []string) (status int, err error) {
	raw := w.bytes(token)
	req, parseErr := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if parseErr == nil && waits(req) {
		return 0, nil
	}
	res, body, err := p.exchange(raw, w.method, w.framing == truncated)
	if errors.Is(err, syscall.ECONNRESET) && (parseErr != nil || w.body != "" && !reads(all, req)) {
		return 0, nil //nolint:nilerr // closed before all was read, so that the answer may be lost
	}
	if err == nil {
		status = res.StatusCode
		err = p.judge(all, req, w.method, res, body)
	}
	if err == nil {
		var head bytes.Buffer
		_ = res.Header.Write(&head)
		said := head.String() + string(body)
		if id := res.Header.Get("X-Request-Id"); id != "" {
			said = strings.ReplaceAll(said, id, "") // 26 letters by chance: "panic" was among them
		}
		if mark := leaks(said, unsent(secret, req, w)); mark != "" {
			err = fmt.Errorf("the answer has %q", mark)
		}
		if res.Header.Get("X-Injected") != "" {
			err = errors.New("a header was injected")
		}
	}
	if err != nil {
		return status, fmt.Errorf("%w\n%.3000q\n%d %.2000q", err, raw, status, body)
	}
	return status, nil
}

// reads reports whether the request is for an operation that has a body.
func reads(all map[string]op, req *http.Request) bool {
	o, ok := route(all, req.Method, req.URL.EscapedPath())
	return ok && o.body() != nil
}

// judge says what is wrong with the answer to req, which is nil where Go can't
// parse it.
func (p *pair) judge(all map[string]op, req *http.Request, method string, res *http.Response, body []byte) error {
	if res.Header.Get("X-Request-Id") == "" {
		// It is net/http's own, which knows no problem documents: it refuses what it
		// can't parse before any handler.
		own := []int{http.StatusBadRequest, http.StatusExpectationFailed, http.StatusRequestHeaderFieldsTooLarge, http.StatusNotImplemented, http.StatusHTTPVersionNotSupported}
		if slices.Contains(own, res.StatusCode) || method == http.MethodOptions && req != nil && req.RequestURI == "*" {
			return nil
		}
		return errors.New("no request id")
	}
	if req == nil {
		return errors.New("answered although it can't be parsed")
	}
	if o, ok := route(all, req.Method, req.URL.EscapedPath()); ok {
		return o.judge(req.Method, res, body)
	}
	switch {
	case res.StatusCode >= http.StatusInternalServerError:
		return fmt.Errorf("status %d", res.StatusCode)
	case res.StatusCode >= http.StatusBadRequest && req.Method != http.MethodHead:
		_, err := judgeProblem(res, body)
		return err
	}
	return nil
}

// secretsOf are what no answer to this token may have.
func (p *pair) secretsOf(token string) []string {
	secret := []string{token, httpapi.HashToken(token), p.schema, "SQLSTATE", "goroutine ", ".go:", "panic"}
	if token == p.secrets[alice] {
		secret = append(secret, p.marksOfBob()...)
	}
	return secret
}

// erasable is a user whom alice's credential is for, too, and who has nothing.
const erasable = "ali-gone"

// valid is a request that the operation answers well, for what has this id.
func (o op) valid(t testing.TB, id string) wire {
	t.Helper()
	path := strings.NewReplacer("{id}", "", "{provider}", "", "{userId}", "", "{siteId}", "").Replace(o.Path)
	require.NotContains(t, path, "{", "no value is known for a parameter of the path: add one")
	w := wire{method: o.Method, path: strings.NewReplacer("{id}", id, "{provider}", "site", "{userId}", erasable, "{siteId}", "s").Replace(o.Path)}
	for _, param := range o.Parameters {
		require.False(t, param.Required && param.In != "path", "%s: no value is known for %s: add one", o.OperationID, param.Name)
	}
	if o.body() != nil {
		w.headers, w.body = []string{"Content-Type: application/json"}, object(o.members())
	}
	return w
}

// made counts schedules, for a site has one of a name: each has a new one.
var made atomic.Int64

// members are those that a body has to have, in JSON.
func (o op) members() map[string]string {
	members := make(map[string]string)
	for _, name := range o.body().Required {
		members[name] = map[string]string{"userId": `"` + alice + `"`, "siteId": `"s"`, "cron": `"@yearly"`}[name]
	}
	if o.OperationID == "createSchedule" {
		members["name"] = fmt.Sprintf(`"n%d"`, made.Add(1))
	}
	return members
}

func object(members map[string]string) string {
	var all []string
	for name, value := range members {
		all = append(all, fmt.Sprintf("%q:%s", name, value))
	}
	slices.Sort(all)
	return "{" + strings.Join(all, ",") + "}"
}

// with is the request with a parameter of this value, as it is written.
func (w wire) with(o op, in, name, value string) wire {
	w.headers = slices.Clone(w.headers)
	switch in {
	case "path":
		parts := strings.Split(o.Path, "/")
		now := strings.Split(w.path, "/")
		now[slices.Index(parts, "{"+name+"}")] = value
		w.path = strings.Join(now, "/")
	case "query":
		w.query = strings.TrimPrefix(w.query+"&"+url.QueryEscape(name)+"="+value, "&")
	case "header":
		w.headers = slices.DeleteFunc(w.headers, func(h string) bool { return strings.HasPrefix(h, name+":") })
		if name == "Host" {
			w.host = value
			break
		}
		w.headers = append(w.headers, name+": "+value)
	}
	return w
}
