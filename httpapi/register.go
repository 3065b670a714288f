package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sitebackup/sitebackup/backup"
)

// api is what the operations share.
type api struct {
	client  *backup.Client
	log     *slog.Logger
	timeout time.Duration
	stall   time.Duration
	guard   *guard
	watcher *backup.Watcher
	bounds  Streams
	streams *slots
	lasting lasting // answers that are being given
}

func newAPI(client *backup.Client, o *Options) *api {
	a := &api{client: client, log: o.Logger, timeout: o.Timeout, stall: o.StallTimeout, watcher: o.Watcher, bounds: o.Streams, streams: newSlots(o)}
	if a.watcher == nil {
		// Nobody runs it: its readers look by themselves.
		a.watcher, _ = client.NewWatcher(&backup.WatcherConfig{PollInterval: askRunning})
	}
	a.guard = &guard{authorize: o.Authorize, challenge: bearerScheme, limits: newLimits(o.RateLimit), problemOf: a.problemOf}
	return a
}

// Register adds the operations to a huma API. It changes none of huma's global
// settings: the operations answer with a Problem of their own.
func Register(to huma.API, client *backup.Client, opts *Options) {
	o := opts.withDefaults(client.Logger())
	newAPI(client, &o).register(to)
}

func (a *api) register(to huma.API) {
	a.registerStart(to)
	a.registerList(to)
	a.registerGet(to)
	a.registerVerbs(to)
	a.registerVerify(to)
	a.registerHold(to)
	a.registerManifest(to)
	a.registerContent(to)
	a.registerProviders(to)
	a.registerEvents(to)
	a.registerSchedules(to)
	a.registerRetention(to)
	a.registerErase(to)
}

const (
	tag          = "Backups"
	scheduleTag  = "Schedules"
	retentionTag = "Retention"
	// securityScheme is the name in OpenAPI of how callers say who they are.
	securityScheme = "bearer"
	// codesExtension lists the codes that an answer of OpenAPI may have.
	codesExtension = "x-codes"
)

// everyFailure is what any operation may answer.
var everyFailure = []Code{CodeUnauthenticated, CodeForbidden, CodeWrongHost, CodeRateLimited, CodeInternal, CodeUnavailable}

// operation completes op: with the scope that it needs, which is asked for before
// its input is read, and with what it answers when it fails. Besides failures
// those are the ones that any operation may answer.
func (a *api) operation(to huma.API, need Scopes, op huma.Operation, failures ...Code) huma.Operation {
	components := to.OpenAPI().Components
	if components.SecuritySchemes == nil {
		components.SecuritySchemes = make(map[string]*huma.SecurityScheme)
	}
	components.SecuritySchemes[securityScheme] = &huma.SecurityScheme{
		Type: "http", Scheme: "bearer",
		Description: "A token of the server's configuration. A server without any asks nobody, and answers this machine only.",
	}
	op.Middlewares = append(huma.Middlewares{a.guard.middleware(need)}, op.Middlewares...)
	if op.Method != http.MethodGet && op.Method != http.MethodHead {
		// Where nobody is asked who they are, a page of another site could send what
		// needs no body.
		failures = append(failures, CodeCrossOrigin)
	}
	op.Security = []map[string][]string{{securityScheme: need.names()}}
	if op.Responses == nil {
		op.Responses = make(map[string]*huma.Response)
	}
	documentFailures(to, op.Responses, slices.Concat(failures, everyFailure))
	return op
}

// documentFailures adds the answers of these codes.
func documentFailures(to huma.API, responses map[string]*huma.Response, failures []Code) {
	schema := to.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	slices.SortFunc(failures, cmp.Compare[Code])
	for _, code := range slices.Compact(failures) {
		i := code.info()
		status := strconv.Itoa(i.Status)
		res := responses[status]
		if res == nil {
			res = &huma.Response{
				Description: http.StatusText(i.Status) + ".", Headers: failureHeaders(i.Status),
				Content:    map[string]*huma.MediaType{problemContentType: {Schema: schema}},
				Extensions: map[string]any{codesExtension: []Code(nil)},
			}
			responses[status] = res
		}
		res.Description += fmt.Sprintf(" `%s`: %s", code, i.Meaning)
		known, _ := res.Extensions[codesExtension].([]Code)
		res.Extensions[codesExtension] = append(known, code)
	}
}

func failureHeaders(status int) map[string]*huma.Param {
	header := func(name, schemaType, description string) map[string]*huma.Param {
		return map[string]*huma.Param{name: {Description: description, Schema: &huma.Schema{Type: schemaType}}}
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return header("WWW-Authenticate", huma.TypeString, "The challenge of RFC 6750.")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return header("Retry-After", huma.TypeInteger, "Seconds to wait before trying again.")
	}
	return nil
}

// find is the backup of that id, if the caller of ctx may see it: ErrNotFound.
// Whose a backup is never changes, so that what was found may then be changed by
// its id.
func (a *api) find(ctx context.Context, id string) (*backup.Backup, error) {
	b, err := a.client.Get(ctx, id)
	if err == nil {
		err = visible(ctx, b)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// visible is nil if the caller of ctx may see b, and else what it would be if
// there were no b.
func visible(ctx context.Context, b *backup.Backup) error {
	if !CallerOf(ctx).Scope.Allows(b.UserID, b.SiteID) {
		return backup.ErrNotFound
	}
	return nil
}
