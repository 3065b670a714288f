package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"
)

// tenants are the parts of a path that say whose it is about; the first is a provider,
// which may be named as one of them.
var tenants = regexp.MustCompile(`/tasks/[^/]+|/user/[^/]+(/site/[^/]+)?`)

// loggedPath is the path without whom it is about: a log outlives what is erased.
func loggedPath(r *http.Request) string {
	return tenants.ReplaceAllStringFunc(r.URL.EscapedPath(), func(part string) string {
		switch {
		case strings.HasPrefix(part, "/tasks/"):
			return part
		case strings.Count(part, "/") > 2:
			return "/user/{userId}/site/{siteId}"
		default:
			return "/user/{userId}"
		}
	})
}

// withLog writes a line for each request, and counts it: never a body, a header or a query,
// where secrets may be, nor a user's or a site's id; of a credential its name. It turns a panic into an answer, since one bad request
// must not take the process and its transfers along.
func withLog(next http.Handler, log *slog.Logger, m *metrics) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		r = r.WithContext(context.WithValue(r.Context(), noteKey{}, &note{target: targetOf(r)}))
		defer logRequest(rec, r, log, m, now())
		defer recoverRequest(rec, r, log)
		next.ServeHTTP(rec, r)
		if rec.status == 0 {
			rec.status = http.StatusOK // what net/http answers for a handler that wrote nothing
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
