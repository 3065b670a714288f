package httpapi

import (
	"fmt"
	"net/http"
	"path"
	"strings"
)

// withFallback serves mux, and answers with a problem where the mux finds
// nothing or no such method.
func withFallback(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isClean(r.URL.EscapedPath()) {
			// The mux would redirect to another path: a bad id is not found. As for the mux,
			// an escaped slash or dot is part of an id.
			notFoundProblem(r).write(w, r)
			return
		}
		if _, pattern := mux.Handler(r); pattern == "" {
			w = &fallback{ResponseWriter: w, request: r}
		}
		mux.ServeHTTP(w, r)
	})
}

func isClean(p string) bool {
	return p == "*" || path.Clean(p) == p || path.Clean(p)+"/" == p && !strings.HasSuffix(p, "//")
}

func notFoundProblem(r *http.Request) *Problem {
	return newProblem(CodeNotFound, fmt.Sprintf("Nothing is served at %q.", r.URL.Path))
}

// fallback writes a problem instead of what the mux says in plain text.
type fallback struct {
	http.ResponseWriter
	request *http.Request
	taken   bool
}

func (w *fallback) WriteHeader(status int) {
	w.taken = true
	switch status {
	case http.StatusMethodNotAllowed: // the mux has set the header Allow
		newProblem(CodeMethodNotAllowed, fmt.Sprintf("This path doesn't take the method %s.", w.request.Method)).write(w.ResponseWriter, w.request)
	case http.StatusNotFound:
		notFoundProblem(w.request).write(w.ResponseWriter, w.request)
	default:
		w.taken = false
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *fallback) Write(p []byte) (int, error) {
	if w.taken {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}
