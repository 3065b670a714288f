package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sitebackup/sitebackup/backup"
)

// stream is an event stream to one client.
type stream struct {
	id     string
	sub    *backup.Subscription
	bounds Streams
	log    *slog.Logger

	stopped <-chan struct{} // closed when the server stops

	seq      int64 // the last event that was sent
	state    backup.State
	stateSeq int64 // the event as of which the state is known

	to io.Writer
	rc *http.ResponseController // nil where the server has no deadlines
}

// ended reports whether the backup has ended and all its events are sent.
func (s *stream) ended() bool { return s.seq >= s.stateSeq && ended(s.state) }

func (s *stream) serve(to huma.Context) {
	withoutDeadlines(to)
	to.SetHeader("Content-Type", eventStreamType)
	to.SetHeader("Cache-Control", "no-store")
	to.SetHeader("X-Accel-Buffering", "no") // proxies that know this pass on what they get at once
	if to.Version().ProtoMajor == 1 {
		to.SetHeader("Connection", "close") // the deadline of the last write stays with it
	}
	to.SetStatus(http.StatusOK)
	if to.Method() == http.MethodHead {
		return
	}
	s.to, s.rc = to.BodyWriter(), controller(to)
	if err := s.send(to.Context()); err != nil {
		s.log.DebugContext(to.Context(), "event stream was broken off", slog.String("requestId", RequestID(to.Context())), slog.Any("error", err))
	}
}

// send sends events until the backup has ended, the client has gone or is too
// slow, or the server stops. Whatever ends it, a client that comes again misses
// nothing, since it says which event it got last.
func (s *stream) send(ctx context.Context) error {
	// Clients that come again all at once would be as many as there were.
	if err := s.write(fmt.Appendf(nil, "retry: %d\n\n", 1000+rand.IntN(2000))); err != nil { //nolint:gosec // no secret
		return err
	}
	for {
		events, err := s.next(ctx)
		switch {
		case errors.Is(err, errQuiet):
			err = s.write([]byte(":\n\n"))
		case errors.Is(err, backup.ErrNotFound):
			return s.end("deleted")
		case err == nil:
			err = s.sendEvents(events)
		}
		if err != nil {
			return err
		}
		if s.ended() {
			return s.end(shownState(s.state))
		}
	}
}

var errQuiet = errors.New("no events")

// next waits for events, at most until the next heartbeat is due. While the
// database is away the client waits as for events, and a query that isn't answered by
// then is asked again.
func (s *stream) next(ctx context.Context) ([]backup.Event, error) {
	waiting, cancel := context.WithTimeoutCause(ctx, s.bounds.Heartbeat, errQuiet)
	defer cancel()
	events, err := s.sub.Next(waiting)
	switch {
	case !backup.IsUnavailable(err):
		return events, err
	case waiting.Err() != nil:
		return nil, context.Cause(waiting)
	}
	s.log.WarnContext(ctx, "events can't be read", slog.Any("error", err))
	select {
	case <-waiting.Done():
		return nil, context.Cause(waiting)
	case <-s.stopped:
		return nil, backup.ErrWatcherStopped
	}
}

func (s *stream) sendEvents(events []backup.Event) error {
	var buf bytes.Buffer
	for i := range events {
		e := &events[i]
		data, err := viewEvent(e)
		if err != nil {
			return err
		}
		writeMessage(&buf, e.Seq, string(e.Name), data)
		s.seq = e.Seq
		if state := stateOf(e); state != "" && e.Seq > s.stateSeq {
			s.state, s.stateSeq = state, e.Seq
		}
	}
	return s.write(buf.Bytes())
}

// end says why there is no more. The message has no id: it is no event.
func (s *stream) end(status string) error {
	data, err := json.Marshal(StreamEnd{Status: status, LastEventID: s.seq})
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	var buf bytes.Buffer
	writeMessage(&buf, 0, endMessage, data)
	return s.write(buf.Bytes())
}

// writeMessage writes one server-sent event. Data is JSON, which has no line
// breaks.
func writeMessage(to *bytes.Buffer, id int64, name string, data []byte) {
	if id > 0 {
		fmt.Fprintf(to, "id: %d\n", id)
	}
	fmt.Fprintf(to, "event: %s\ndata: %s\n\n", name, data)
}

// write sends p at once, and gives up when the client doesn't take it.
func (s *stream) write(p []byte) error {
	if s.rc != nil {
		_ = s.rc.SetWriteDeadline(now().Add(s.bounds.WriteTimeout)) // not every server has deadlines
	}
	if _, err := s.to.Write(p); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	if s.rc == nil {
		return nil
	}
	if err := s.rc.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("write events: %w", err)
	}
	return nil
}
