package httpapi

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// targetOf is the path that the client has asked for, escaped. A host that serves
// the API below a prefix takes that from the request's URL, and leaves the line
// that the client sent.
func targetOf(r *http.Request) string {
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		return u.EscapedPath()
	}
	return r.URL.EscapedPath()
}

// below is the path of what is called name in the collection that was asked for.
func below(ctx huma.Context, name string) string { return beside(ctx, 0, name) }

// beside is the path of what is called name behind the one that was asked for without
// its last segments.
func beside(ctx huma.Context, without int, name string) string {
	path := noteOf(ctx.Context()).target
	if path == "" { // huma runs in a host's own handler
		u := ctx.URL()
		path = u.EscapedPath()
	}
	segments := strings.Split(strings.Trim(path, "/"), "/")
	segments = append(segments[:max(len(segments)-without, 0)], name)
	// With one slash at its start: two would make a host of what follows.
	return "/" + strings.TrimPrefix(strings.Join(segments, "/"), "/")
}
