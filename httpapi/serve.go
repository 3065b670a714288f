package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// stored is something in the store, or as good as that, to be sent with ranges and
// preconditions (RFC 9110 §13 and §14).
type stored struct {
	contentType string
	filename    string // that a browser saves it under
	size        int64
	sha256      []byte
	body        io.ReadSeeker
	// begin is told, before anything is answered, how much of body will be read from
	// where it is. It may be nil. Its error is answered, and should be a *Problem.
	begin func(length int64) error
}

// storedPolicy keeps a browser from taking what somebody exported for a page of
// this server's.
const storedPolicy = "default-src 'none'; sandbox"

// send answers with s. A reader that takes nothing for as long as stall is left.
func (s *stored) send(ctx huma.Context, stall time.Duration) {
	digest := base64.StdEncoding.EncodeToString(s.sha256)
	w := &contextWriter{ctx: ctx, stored: s, stall: stall, header: http.Header{
		"Content-Type":            {s.contentType},
		"Content-Disposition":     {fmt.Sprintf("attachment; filename=%q", s.filename)},
		"Content-Security-Policy": {storedPolicy},
		"X-Content-Type-Options":  {"nosniff"},
		"Cache-Control":           {"private, no-cache"}, // ask whether the caller may still see it
		"Etag":                    {`"` + hex.EncodeToString(s.sha256) + `"`},
		"Repr-Digest":             {"sha-256=:" + digest + ":"}, // RFC 9530
	}}
	r := requestOf(ctx)
	if spec := rangeOf(r, s.size); spec != "" {
		r.Header.Set("Range", spec)
	} else {
		r.Header.Del("Range")
	}
	http.ServeContent(w, r, "", time.Time{}, s.body)
}

var rangeRE = regexp.MustCompile(`^(?i:bytes)=[ \t]*([0-9]*)-([0-9]*)[ \t]*$`)

// rangeOf is the range that r asks for, as http.ServeContent understands it, or "": the
// whole is asked for. That also answers what isn't a range of bytes, or makes no sense
// (RFC 9110 §14.2), several ranges, which it allows, and any but a GET, for which it
// wants that. http.ServeContent would answer HEAD with a part.
func rangeOf(r *http.Request, size int64) string {
	match := rangeRE.FindStringSubmatch(r.Header.Get("Range"))
	if match == nil || r.Method != http.MethodGet {
		return ""
	}
	// A number that is too large is the largest one, which is behind every end.
	first, _ := strconv.ParseInt(match[1], 10, 64)
	last, _ := strconv.ParseInt(match[2], 10, 64)
	switch {
	case match[1] == "" && match[2] == "", match[1] != "" && match[2] != "" && last < first:
		return ""
	case match[1] != "" && match[2] != "":
		return fmt.Sprintf("bytes=%d-%d", first, last)
	case match[1] != "":
		return fmt.Sprintf("bytes=%d-", first)
	case last == 0:
		return fmt.Sprintf("bytes=%d-", size) // the last 0 bytes: there are none, as behind the end
	default:
		return fmt.Sprintf("bytes=-%d", last)
	}
}

func digestOf(data []byte) []byte {
	sum := sha256.Sum256(data)
	return sum[:]
}

// contextWriter writes to what huma has in place of a ResponseWriter. What
// http.ServeContent says in plain text it says as a problem.
type contextWriter struct {
	ctx    huma.Context
	stored *stored
	stall  time.Duration
	header http.Header

	to      io.Writer
	control *http.ResponseController // nil: this server has no deadlines
	muted   bool
}

func (w *contextWriter) Header() http.Header { return w.header }

func (w *contextWriter) WriteHeader(status int) {
	w.to = w.ctx.BodyWriter()
	if rw, ok := w.to.(http.ResponseWriter); ok {
		w.control = http.NewResponseController(rw)
	}
	switch status {
	case http.StatusRequestedRangeNotSatisfiable:
		w.problem(newProblem(CodeRange, fmt.Sprintf("It has %d bytes, and the range has none of them.", w.stored.size)), "Content-Range")
		return
	case http.StatusPreconditionFailed:
		w.problem(newProblem(CodePrecondition, "It isn't the one that the request's conditions name."), "Etag")
		return
	}
	if err := w.begin(status); err != nil {
		var p *Problem
		if !errors.As(err, &p) {
			p = internalProblem()
		}
		w.problem(p)
		return
	}
	for name, values := range w.header {
		w.ctx.SetHeader(name, values[0])
	}
	w.ctx.SetStatus(status)
}

func (w *contextWriter) begin(status int) error {
	length, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64)
	if w.stored.begin == nil || err != nil || status != http.StatusOK && status != http.StatusPartialContent {
		return nil //nolint:nilerr // there is nothing to read then
	}
	return w.stored.begin(length)
}

// problem answers with p, and with those of the headers that explain it.
func (w *contextWriter) problem(p *Problem, keep ...string) {
	w.muted = true
	for _, name := range keep {
		if v := w.header.Get(name); v != "" {
			w.ctx.SetHeader(name, v)
		}
	}
	p.writeTo(w.ctx)
}

func (w *contextWriter) Write(p []byte) (int, error) {
	if w.muted {
		return len(p), nil
	}
	if w.to == nil {
		w.WriteHeader(http.StatusOK)
	}
	w.before(now().Add(w.stall))
	return w.to.Write(p)
}

// before sets the time until which the client must have taken what is written.
func (w *contextWriter) before(t time.Time) {
	if w.control != nil {
		_ = w.control.SetWriteDeadline(t) // a server without deadlines has its own bounds
	}
}
