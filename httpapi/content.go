package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// signedFor is how long a URL is good that a client is sent to. It begins the
// download at once; one that has begun goes on.
const signedFor = 5 * time.Minute

type contentInput struct {
	ID       string `path:"id" doc:"The backup's id." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	Provider string `path:"provider" doc:"The export's provider." example:"site"`
	redirect bool
	err      error
}

// Resolve reads the request's query.
func (in *contentInput) Resolve(ctx huma.Context) []error {
	q := readQuery(ctx)
	in.redirect = q.flag("redirect")
	in.err = q.err()
	return nil
}

func (a *api) registerContent(to huma.API) {
	op := huma.Operation{
		OperationID: "getTaskContent", Method: http.MethodGet, Path: "/backup/{id}/tasks/{provider}/content", Tags: []string{tag},
		Summary: "Download an export",
		Description: "The export is sent as it is stored, under its own content type. A range can be requested: to resume a download that broke off, send Range and If-Range. " +
			"With redirect=true the answer is 307 with a URL of the store itself that is valid for five minutes, if the store can sign one.",
		Parameters: append(storedParams(), &huma.Param{
			Name: "redirect", In: "query", Description: "Answer with a URL of the store itself.",
			Schema: &huma.Schema{Type: huma.TypeBoolean, Default: false},
		}),
		Responses: storedResponses("*/*", &huma.Schema{Type: huma.TypeString, Format: "binary", Description: "The export's bytes, under its own content type."}),
	}
	op.Responses["307"] = &huma.Response{
		Description: "The export can be downloaded from this URL of the store.",
		Headers:     map[string]*huma.Param{"Location": {Description: "A URL that is valid for five minutes and needs no credential.", Schema: &huma.Schema{Type: huma.TypeString, Format: "uri"}}},
	}
	failures := append([]Code{CodeNotFound, CodeStateConflict, CodeValidationFailed, CodeNoRedirect, CodeNoStore, CodeObjectDamaged}, storedFailures...)
	head := op
	head.OperationID, head.Method, head.Summary = "headTaskContent", http.MethodHead, "Ask for an export's size and checksum"
	head.Description = "The answer is that of a GET without its body. A range is ignored, as RFC 9110 §14.2 has it."
	head.Parameters = slices.DeleteFunc(slices.Clone(op.Parameters), func(p *huma.Param) bool { return strings.HasSuffix(p.Name, "Range") })
	head.Responses = make(map[string]*huma.Response)
	for status, res := range op.Responses {
		if status != "206" {
			head.Responses[status] = &huma.Response{Description: res.Description, Headers: res.Headers}
		}
	}
	huma.Register(to, a.operation(to, ScopeRead, op, failures...), a.content)
	failures = slices.DeleteFunc(slices.Clone(failures), func(c Code) bool { return c == CodeRange })
	huma.Register(to, a.operation(to, ScopeRead, head, failures...), a.content)
}

func (a *api) content(ctx context.Context, in *contentInput) (*huma.StreamResponse, error) {
	if in.err != nil {
		return nil, a.problemOf(ctx, in.err)
	}
	task, err := a.doneTask(ctx, in)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	if in.redirect {
		u, err := a.sign(ctx, task.ObjectKey)
		if err != nil {
			return nil, a.problemOf(ctx, err)
		}
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			ctx.SetHeader("Location", u)
			ctx.SetHeader("Cache-Control", "no-store") // it is a credential
			ctx.SetHeader("Referrer-Policy", "no-referrer")
			ctx.SetStatus(http.StatusTemporaryRedirect)
		}}, nil
	}
	return &huma.StreamResponse{Body: func(h huma.Context) { a.stream(ctx, h, in, task) }}, nil
}

// doneTask is the export that is asked for, if the caller may see it.
func (a *api) doneTask(ctx context.Context, in *contentInput) (*backup.Task, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	b, err := a.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(b.Tasks, func(t *backup.Task) bool { return t.Provider == in.Provider })
	switch {
	case i < 0:
		return nil, newProblem(CodeNotFound, "The backup has no export of this provider.")
	case b.State == backup.StateDeleting:
		return nil, &backup.StateError{Verb: "download an export of", State: b.State}
	case b.Tasks[i].State != backup.TaskDone:
		return nil, newProblem(CodeStateConflict, "The export isn't done.")
	case a.client.Store() == nil:
		return nil, backup.ErrNoStore
	}
	return b.Tasks[i], nil
}

func (a *api) sign(ctx context.Context, key string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	signer, ok := a.client.Store().(blob.Signer)
	if !ok {
		return "", newProblem(CodeNoRedirect, "This server's store can't sign URLs.")
	}
	u, err := signer.SignURL(ctx, key, signedFor)
	if errors.Is(err, errors.ErrUnsupported) {
		return "", newProblem(CodeNoRedirect, "This server's store can't sign URLs with the credential that it has.")
	}
	if err != nil {
		return "", a.storeProblem(ctx, err)
	}
	return u, nil
}

// stream sends the task's object.
func (a *api) stream(ctx context.Context, h huma.Context, in *contentInput, task *backup.Task) {
	o := &objectReader{ctx: ctx, store: a.client.Store(), key: task.ObjectKey, size: task.Size, stall: a.stall}
	defer o.close()
	if h.Method() != http.MethodHead {
		defer lasts(ctx, &a.lasting.downloads)()
	}
	s := &stored{
		contentType: task.ContentType, filename: in.Provider + "-" + in.ID + extensions[mediaType(task.ContentType)],
		size: task.Size, sha256: task.SHA256, body: o,
		begin: func(length int64) error {
			if h.Method() == http.MethodHead {
				length = 0
			}
			if err := o.begin(length); err != nil { //nolint:contextcheck // it is in there
				return a.objectProblem(ctx, in, err)
			}
			return nil
		},
	}
	if s.contentType == "" {
		s.contentType = "application/octet-stream"
	}
	s.send(h, a.stall)                    //nolint:contextcheck // it is in there
	if o.err != nil && ctx.Err() == nil { // the connection breaks off: fewer bytes were written than announced
		a.log.ErrorContext(ctx, "download broke off", slog.String("requestId", RequestID(ctx)), slog.Any("error", o.err))
	}
}

// objectProblem says why an object that should be there can't be read.
func (a *api) objectProblem(ctx context.Context, in *contentInput, err error) *Problem {
	if !errors.Is(err, blob.ErrNotFound) && !errors.Is(err, errLength) {
		return a.storeProblem(ctx, err)
	}
	// It may have been deleted, or exported again, since it was looked up.
	if _, again := a.doneTask(ctx, in); again != nil {
		return a.problemOf(ctx, again)
	}
	a.log.ErrorContext(ctx, "stored object is damaged", slog.String("requestId", RequestID(ctx)), slog.Any("error", err))
	return newProblem(CodeObjectDamaged, "The object in the store isn't what was stored. A verification tells more.")
}

func (a *api) storeProblem(ctx context.Context, err error) *Problem {
	a.log.WarnContext(ctx, "store is unavailable", slog.String("requestId", RequestID(ctx)), slog.Any("error", err))
	p := unavailableProblem()
	p.Detail = "The store can't be read at the moment. Please try again."
	return p
}

// extensions are those of the exports that there usually are. Not by package
// mime: it asks the machine's own tables.
var extensions = map[string]string{
	"application/x-tar": ".tar", "application/gzip": ".gz", "application/zip": ".zip", "application/zstd": ".zst",
	"application/sql": ".sql", "application/json": ".json", "text/csv": ".csv", "application/xml": ".xml",
}
