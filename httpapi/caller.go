package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sitebackup/sitebackup/backup"
)

// Scopes are the kinds of operations that a caller may use. None includes
// another: who may write without read starts backups, and sees none.
type Scopes uint8

// The scopes.
const (
	ScopeRead  Scopes = 1 << iota // look at backups and what is in them
	ScopeWrite                    // start, cancel, retry, verify, delete them
	ScopeAdmin                    // change what holds for others, too: jobs in River UI, legal holds

	everyScope = ScopeRead | ScopeWrite | ScopeAdmin
)

var scopeNames = []struct {
	scope Scopes
	name  string
}{{ScopeRead, "read"}, {ScopeWrite, "write"}, {ScopeAdmin, "admin"}}

// ParseScope reads "read", "write" or "admin".
func ParseScope(name string) (Scopes, error) {
	for _, s := range scopeNames {
		if s.name == name {
			return s.scope, nil
		}
	}
	return 0, fmt.Errorf("must be read, write or admin, not %q", name)
}

// Has reports whether all of need are in s.
func (s Scopes) Has(need Scopes) bool { return s&need == need }

// names are those of the scopes in s.
func (s Scopes) names() []string {
	var names []string
	for _, n := range scopeNames {
		if s.Has(n.scope) {
			names = append(names, n.name)
		}
	}
	return names
}

// String is the names with spaces between, as OAuth writes scopes.
func (s Scopes) String() string { return strings.Join(s.names(), " ") }

// Caller is who sent a request.
type Caller struct {
	// Name is written to the log with each request; a rate limit counts by it, and
	// idempotency keys are its own.
	Name string
	// Scope are the tenants whose backups there are for this caller; the zero
	// value is all of them.
	Scope backup.Scope
	// Can are the operations that the caller may use.
	Can Scopes
}

// everybody is the caller where nobody is asked.
var everybody = &Caller{Can: everyScope}

// unlimited reports whether the caller may see all tenants, and with that what is
// told of them together.
func (c *Caller) unlimited() bool { return len(c.Scope.Users) == 0 && len(c.Scope.Sites) == 0 }

// ErrUnauthenticated is what [Options.Authorize] returns for a request without a
// credential, or with one that it doesn't know. The caller is answered 401.
var ErrUnauthenticated = errors.New("no valid credential")

type callerKey struct{}

// CallerOf is who sent the request that ctx belongs to. Where nobody is asked who
// they are it is a caller without a name who may do everything.
func CallerOf(ctx context.Context) *Caller {
	if c, ok := ctx.Value(callerKey{}).(*Caller); ok {
		return c
	}
	return everybody
}

// guard lets requests through to what they are for, or says why not.
type guard struct {
	authorize func(*http.Request) (*Caller, error) // nil: nobody is asked
	challenge string                               // the scheme of the challenge: Bearer or Basic
	limits    *limits
	problemOf func(context.Context, error) *Problem
}

// admit finds out who sent r, and whether they have the scopes.
func (g *guard) admit(r *http.Request, need Scopes) (*Caller, *Problem) {
	if g.authorize == nil {
		return everybody, nil
	}
	caller, err := g.authorize(r)
	switch {
	case errors.Is(err, ErrUnauthenticated), err == nil && caller == nil:
		if problem := g.limits.failure(r); problem != nil {
			return nil, problem
		}
		return nil, g.unauthenticated(r)
	case err != nil:
		return nil, g.problemOf(r.Context(), err)
	}
	noteOf(r.Context()).caller = caller.Name
	if problem := g.limits.caller(caller); problem != nil {
		return nil, problem
	}
	if !caller.Can.Has(need) {
		return nil, g.forbidden(need, fmt.Sprintf("This credential lacks the scope %s.", need))
	}
	return caller, nil
}

// The challenges are those of RFC 6750, section 3, and RFC 7617.

func (g *guard) unauthenticated(r *http.Request) *Problem {
	p := newProblem(CodeUnauthenticated, "The request has no credential.")
	p.challenge = g.challenge + ` realm="backup"`
	if r.Header.Get("Authorization") != "" {
		p.Detail = "The credential is not one that this server knows."
		if g.challenge == bearerScheme {
			p.challenge += `, error="invalid_token"`
		}
	}
	if g.challenge == basicScheme {
		p.challenge += `, charset="UTF-8"`
	}
	return p
}

// forbidden carries a challenge for programs only: a browser would ask for
// another password. Need are the scopes that would do, 0 where none would.
func (g *guard) forbidden(need Scopes, detail string) *Problem {
	p := newProblem(CodeForbidden, detail)
	if g.challenge != bearerScheme {
		return p
	}
	p.challenge = `Bearer realm="backup", error="insufficient_scope"`
	if need != 0 {
		p.challenge += fmt.Sprintf(", scope=%q", need)
	}
	return p
}

// middleware stands before an operation.
func (g *guard) middleware(need Scopes) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		noteOf(ctx.Context()).operation = ctx.Operation().OperationID
		if err := sameOrigin.Check(requestOf(ctx)); err != nil {
			crossOriginProblem().writeTo(ctx)
			return
		}
		if g.authorize == nil {
			next(ctx)
			return
		}
		caller, problem := g.admit(requestOf(ctx), need)
		if problem != nil {
			problem.writeTo(ctx)
			return
		}
		next(huma.WithValue(ctx, callerKey{}, caller))
	}
}

// requestOf is the request without its body, whatever server huma runs on.
func requestOf(ctx huma.Context) *http.Request {
	u, version := ctx.URL(), ctx.Version()
	r := &http.Request{
		Method: ctx.Method(), URL: &u, Host: ctx.Host(), RemoteAddr: ctx.RemoteAddr(), TLS: ctx.TLS(), Header: http.Header{}, Body: http.NoBody,
		Proto: version.Proto, ProtoMajor: version.ProtoMajor, ProtoMinor: version.ProtoMinor, RequestURI: u.RequestURI(),
	}
	ctx.EachHeader(r.Header.Add)
	return r.WithContext(ctx.Context())
}
