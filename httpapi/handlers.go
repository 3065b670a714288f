package httpapi

import "net/http"

// guarded puts a host's handler behind the credentials. The handler knows nothing
// of tenants, and may change what is everybody's.
func (a *api) guarded(pattern string, handler http.Handler, o *Options) http.Handler {
	g := &guard{authorize: o.AuthorizeHandlers, challenge: basicScheme, limits: a.guard.limits, problemOf: a.problemOf}
	// A browser adds the credential by itself, also to what another site's page
	// sends. Where nobody is asked, being on this machine is the credential.
	return withoutCrossOrigin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		noteOf(r.Context()).operation = pattern
		// Nobody is led to click on it within a page of somebody else's.
		w.Header().Set("X-Frame-Options", "DENY")
		w.Header().Add("Content-Security-Policy", "frame-ancestors 'none'")
		need := ScopeAdmin
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			need = ScopeRead
		}
		caller, problem := g.admit(r, need)
		if problem == nil && !caller.unlimited() {
			problem = g.forbidden(need, "This page shows all tenants, and this credential is for some.")
		}
		if problem != nil {
			problem.write(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	}))
}

// withoutCrossOrigin refuses requests that change something and that a page of
// another site made.
func withoutCrossOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := sameOrigin.Check(r); err != nil {
			crossOriginProblem().write(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// sameOrigin tells by what browsers say of the page. It lets pass whatever
// changes nothing, and programs.
var sameOrigin = http.NewCrossOriginProtection()

func crossOriginProblem() *Problem {
	return newProblem(CodeCrossOrigin, "A page of another site made this request.")
}
