package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"
)

// loggedPath is the path without whom it is about: a log outlives what is erased. It
// looks at the segments as the mux does, unescaped.
func loggedPath(r *http.Request) string {
	segments := strings.Split(r.URL.EscapedPath(), "/")
	for i := range segments {
		if i > 0 && isSegment(segments[i-1], "tasks") { // a provider may be named user
			continue
		}
		if isSegment(segments[i], "user") && mask(segments, i+1, "{userId}") && i+2 < len(segments) && isSegment(segments[i+2], "site") {
			mask(segments, i+3, "{siteId}")
		}
	}
	return strings.Join(segments, "/")
}

func isSegment(escaped, want string) bool {
	text, err := url.PathUnescape(escaped)
	return err == nil && text == want
}

// mask puts a placeholder in the place of a segment, if there is one.
func mask(segments []string, i int, by string) bool {
	if i >= len(segments) {
		return false
	}
	segments[i] = by
	return true
}

// withLog writes a line for each request, and counts it: never a body, a header or a query,
// where secrets may be, nor a user's or a site's id; of a credential its name. It turns a
// panic into an answer, since one bad request must not take the process and its transfers
// along.
func withLog(next http.Handler, log *slog.Logger, m *metrics) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		r = r.WithContext(context.WithValue(r.Context(), noteKey{}, &note{target: targetOf(r)}))
		defer logRequest(rec, r, log, m, now())
		defer recoverRequest(rec, r, log)
		next.ServeHTTP(rec, r)
		switch {
		case rec.status == 0:
			rec.status = http.StatusOK // what net/http answers for a handler that wrote nothing
		case rec.status == http.StatusServiceUnavailable && errors.Is(r.Context().Err(), context.Canceled):
			rec.status = statusAborted // the client has gone: nothing is wrong on this side
		}
	})
}

// level keeps the probes, which come every few seconds, out of the way.
func level(r *http.Request, status int) slog.Level {
	if status < http.StatusBadRequest && (r.URL.Path == healthPath || r.URL.Path == readyPath || r.URL.Path == freshnessPath) {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

func logRequest(rec *recorder, r *http.Request, log *slog.Logger, m *metrics, began time.Time) {
	n, took := noteOf(r.Context()), now().Sub(began)
	m.observe(n, rec.status, took)
	log.LogAttrs(r.Context(), level(r, rec.status), "request",
		slog.String("requestId", RequestID(r.Context())), slog.String("caller", n.caller), slog.String("method", r.Method), slog.String("path", loggedPath(r)),
		slog.Int("status", rec.status), slog.Int64("bytes", rec.bytes), slog.Duration("took", took),
		slog.String("remote", r.RemoteAddr))
}

// recoverRequest answers in place of a handler that panicked.
func recoverRequest(rec *recorder, r *http.Request, log *slog.Logger) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler { //nolint:errorlint // a sentinel that is compared as such
		if rec.status == 0 {
			rec.status = statusAborted
		}
		panic(v) // net/http ends the connection without a word
	}
	log.ErrorContext(r.Context(), "request panicked", slog.String("requestId", RequestID(r.Context())),
		slog.String("panic", fmt.Sprint(v)), slog.String("stack", string(debug.Stack())))
	if rec.status == 0 {
		internalProblem().write(rec, r)
		return
	}
	panic(http.ErrAbortHandler) // a part of the answer is out: it must not look whole
}

// statusAborted stands in the log for an answer that was never given.
const statusAborted = 499
