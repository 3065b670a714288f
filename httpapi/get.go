package httpapi

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sitebackup/sitebackup/backup"
)

type getInput struct {
	// Any string, so that an id that can't be one is not found like others.
	ID          string `path:"id" doc:"The backup's id." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	IfNoneMatch string `header:"If-None-Match" doc:"The ETag of an earlier answer. If it is still current, the answer is 304, without a body."`
	Wait        string `query:"wait" doc:"With If-None-Match: how long to wait for a change before answering 304, as a number with the unit s or ms; at most 60s." example:"30s"`

	wait    time.Duration
	control *http.ResponseController // of an answer whose deadlines the wait puts off; may be nil
	err     error
}

// Resolve reads how long to wait.
func (in *getInput) Resolve(ctx huma.Context) []error {
	if in.wait, in.err = parseWait(in.Wait); in.wait > 0 {
		withoutDeadlines(ctx)
		in.control = controller(ctx)
	}
	return nil
}

type getOutput struct {
	Status       int
	ETag         string `header:"ETag" hidden:"true"`
	RetryAfter   string `header:"Retry-After" hidden:"true"`
	CacheControl string `header:"Cache-Control" hidden:"true"`
	ContentType  string `header:"Content-Type" hidden:"true"`
	Body         []byte
}

func (a *api) registerGet(to huma.API) {
	schema := to.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Backup](), true, "Backup")
	header := func(schemaType, description string) *huma.Param {
		return &huma.Param{Description: description, Schema: &huma.Schema{Type: schemaType}}
	}
	headers := func() map[string]*huma.Param {
		return map[string]*huma.Param{
			"ETag":        header(huma.TypeString, "A validator that changes with the body."),
			"Retry-After": header(huma.TypeInteger, "Seconds until it is worth asking again; not for a backup that has ended."),
		}
	}
	huma.Register(to, a.operation(to, ScopeRead, huma.Operation{
		OperationID: "getBackup",
		Method:      http.MethodGet,
		Path:        "/backup/{id}",
		Tags:        []string{tag},
		Summary:     "Show the state of a backup",
		Description: "A backup is done only when every byte of each export was proven to be in the store, and its manifest was written.\n\n" +
			"With If-None-Match and `wait` this is a long poll: the answer comes when the backup changes, or is 304 if it hasn't changed in that time. " +
			"Values that every heartbeat changes, such as the bytes received, are in the answer but don't end the wait. " +
			"A server that is stopping, or that has its maximum of waiting clients, answers at once. " +
			"If the database fails during the wait, the server waits for it to come back. If it stays away longer, or was away when the request came, the answer is 503 with a Retry-After.",
		Responses: map[string]*huma.Response{
			"200": {Description: "The backup.", Headers: headers(), Content: map[string]*huma.MediaType{jsonContentType: {Schema: schema}}},
			"304": {Description: "The backup hasn't changed since the answer whose ETag was sent.", Headers: headers()},
		},
	}, CodeNotFound, CodeValidationFailed), a.get)
}

func (a *api) get(ctx context.Context, in *getInput) (*getOutput, error) {
	if in.err != nil {
		return nil, a.problemOf(ctx, in.err)
	}
	if in.control != nil {
		defer func() { _ = in.control.SetWriteDeadline(now().Add(a.stall)) }() // not every server has deadlines
	}
	out, err := a.look(ctx, in)
	if err == nil && out.Status == http.StatusNotModified && in.wait > 0 {
		out, err = a.longPoll(ctx, in, out)
	}
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return &out.getOutput, nil
}

// looked is what there is to see, and up to which event.
type looked struct {
	getOutput
	seq int64
}

// look answers at once.
func (a *api) look(ctx context.Context, in *getInput) (*looked, error) {
	b, err := a.visibleBackup(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	body, etag, err := encode(view(b))
	if err != nil {
		return nil, err
	}
	// A cache may keep it, and must ask each time.
	out := &looked{seq: b.EventSeq(), getOutput: getOutput{Status: http.StatusOK, ETag: etag, CacheControl: "private, no-cache", ContentType: jsonContentType, Body: body}}
	if d := askAgain(b); d > 0 {
		out.RetryAfter = strconv.Itoa(int(d.Seconds()))
	}
	if in.IfNoneMatch != "" && matchesETag(in.IfNoneMatch, etag) {
		out.Status, out.ContentType, out.Body = http.StatusNotModified, "", nil
	}
	return out, nil
}

// longPoll looks again when there are events, until something has changed, the
// time is up, or nobody will tell of events any more. While the database is away the
// client waits as for events.
func (a *api) longPoll(ctx context.Context, in *getInput, was *looked) (*looked, error) {
	caller := CallerOf(ctx).Name
	if a.streams.take(caller) != nil {
		return was, nil
	}
	defer a.streams.leave(caller)
	defer lasts(ctx, &a.lasting.polls)()
	sub, err := a.watcher.Watch(in.ID, was.seq)
	if err != nil {
		return nil, err
	}
	defer sub.Close()
	waiting, cancel := context.WithTimeout(ctx, in.wait)
	defer cancel()
	for {
		_, err := sub.Next(waiting)
		now := was
		if err == nil || waiting.Err() != nil || errors.Is(err, backup.ErrWatcherStopped) || errors.Is(err, backup.ErrNotFound) {
			now, err = a.lookAgain(ctx, waiting, in)
		}
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case backup.IsUnavailable(err) && a.rest(waiting):
			continue
		case err != nil || now.Status != http.StatusNotModified || a.over(waiting):
			return now, err
		}
	}
}

// lookAgain looks, and while the database is away again and again until the wait is
// over: who waits for a change is told of an outage only if it lasts longer.
func (a *api) lookAgain(ctx, waiting context.Context, in *getInput) (*looked, error) {
	for {
		now, err := a.look(ctx, in)
		if !backup.IsUnavailable(err) || !a.rest(waiting) {
			return now, err
		}
	}
}

// rest pauses while the database is away. It reports whether the wait goes on.
func (a *api) rest(waiting context.Context) bool {
	timer := time.NewTimer(askRunning)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-waiting.Done():
	case <-a.watcher.Done():
	}
	return !a.over(waiting)
}

// over reports whether nobody waits any more, or nobody will tell of events.
func (a *api) over(waiting context.Context) bool {
	select {
	case <-waiting.Done():
		return true
	case <-a.watcher.Done():
		return true
	default:
		return false
	}
}

// visibleBackup is the backup, if the caller may see it.
func (a *api) visibleBackup(ctx context.Context, id string) (*backup.Backup, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	b, err := a.client.Get(ctx, id)
	if err == nil {
		err = visible(ctx, b)
	}
	return b, err
}
