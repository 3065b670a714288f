package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

const eventStreamType = "text/event-stream"

type eventsInput struct {
	ID     string `path:"id" doc:"The backup's id." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	Header string `header:"Last-Event-ID" doc:"The id of the last event that the caller has; the stream goes on behind it. Defaults to 0, which is before the first." example:"12"`
	Query  string `query:"lastEventId" doc:"Last-Event-ID, for callers that can't set the header. The header counts where both are sent."`

	after int64
	err   error
}

// Resolve reads where the stream begins.
func (in *eventsInput) Resolve(huma.Context) []error {
	value, location := in.Header, "header.Last-Event-ID"
	if value == "" {
		value, location = in.Query, "query.lastEventId"
	}
	if value == "" {
		return nil
	}
	var err error
	if in.after, err = strconv.ParseInt(value, 10, 64); err != nil || in.after < 0 {
		in.err = validationProblem(FieldError{location, "must be the id of an event of this stream, a whole number"})
	}
	return nil
}

type eventsOutput struct {
	Body func(huma.Context)
}

func (a *api) registerEvents(to huma.API) {
	huma.Register(to, a.operation(to, ScopeRead, huma.Operation{
		OperationID: "streamBackupEvents",
		Method:      http.MethodGet,
		Path:        "/backup/{id}/events",
		Tags:        []string{tag},
		Summary:     "Follow a backup's events",
		Description: "The answer is a stream of server-sent events: first the existing events, then each new one as it is written, in order, without gaps, and each exactly once. " +
			"Their ids count from 1 within the backup. To resume a stream that broke off, or that a stopping server has ended, without losing events, " +
			"send the last id received as Last-Event-ID; browsers do so by themselves. Of a backup that ended long ago, 30 days unless the server is configured otherwise, " +
			"only the last event is kept.\n\n" +
			"Once the backup is done, failed, canceled or being deleted and all its events have been sent, a last message `end` is sent, and the stream ends. " +
			"A request for events after the last one is answered 204 then, which tells a browser to stop. " +
			"A retry reopens a failed or canceled backup: request the stream again then, with the same Last-Event-ID.\n\n" +
			"Comments are sent while nothing happens, and while the database is unavailable; the stream continues when it is back. A client that doesn't read is disconnected.",
		Responses: map[string]*huma.Response{
			"200": {Description: "The events.", Content: map[string]*huma.MediaType{eventStreamType: {Schema: eventStreamSchema(to)}}},
			"204": {Description: "The backup has ended, and has no events after Last-Event-ID."},
		},
	}, CodeNotFound, CodeValidationFailed, CodeOverloaded), a.events)
}

func (a *api) events(ctx context.Context, in *eventsInput) (*eventsOutput, error) {
	if in.err != nil {
		return nil, a.problemOf(ctx, in.err)
	}
	select {
	case <-a.watcher.Done():
		return nil, a.problemOf(ctx, overloadedProblem("This server is stopping."))
	default:
	}
	caller := CallerOf(ctx).Name
	if problem := a.streams.take(caller); problem != nil {
		return nil, a.problemOf(ctx, problem)
	}
	s, err := a.openStream(ctx, in)
	if err != nil {
		a.streams.leave(caller)
		return nil, a.problemOf(ctx, err)
	}
	return &eventsOutput{Body: func(to huma.Context) { //nolint:contextcheck // it has the context of the request
		defer a.streams.leave(caller)
		if s == nil {
			to.SetStatus(http.StatusNoContent)
			return
		}
		defer s.sub.Close()
		defer lasts(to.Context(), &a.lasting.events)()
		s.serve(to)
	}}, nil
}

// openStream returns nil where there is nothing to send.
func (a *api) openStream(ctx context.Context, in *eventsInput) (*stream, error) {
	b, err := a.visibleBackup(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	s := &stream{id: b.ID, state: b.State, stateSeq: b.EventSeq(), seq: min(in.after, b.EventSeq()), bounds: a.bounds, log: a.log, stopped: a.watcher.Done()}
	if s.ended() {
		return nil, nil //nolint:nilnil // see above
	}
	s.sub, err = a.watcher.Watch(b.ID, s.seq)
	return s, err
}
