package backup

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
)

// Subscription is a reader's place among the events of one backup. One goroutine
// at a time uses it.
type Subscription struct {
	w    *Watcher
	f    *feed
	seq  int64 // the last event that the reader has, or doesn't want
	live bool  // it has caught up: the feed holds what comes
	end  error // why there is nothing more

	look *time.Timer // when it reads by itself again, where nobody runs the Watcher
}

// Watch begins to read the events of a backup whose Seq is greater than after.
// Where that is more than the backup has, those are read that come from now on.
// It asks the database nothing: that the backup isn't there is told by Next. The
// caller closes the Subscription.
func (w *Watcher) Watch(backupID string, after int64) (*Subscription, error) {
	id, err := uuid.Parse(backupID)
	if err != nil || !validID(backupID) {
		return nil, ErrNotFound
	}
	backupID = id.String() // in the spelling of notifications
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.feeds[backupID]
	if f == nil {
		f = &feed{id: backupID, subs: make(map[*Subscription]struct{}, 1), changed: make(chan struct{})}
		w.feeds[backupID] = f
	}
	s := &Subscription{w: w, f: f, seq: max(after, 0)}
	f.subs[s] = struct{}{}
	return s, nil
}

// Close ends the Subscription. It may be called more than once.
func (s *Subscription) Close() {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.end == nil {
		s.end = errClosed
	}
	delete(s.f.subs, s)
	if len(s.f.subs) == 0 && s.w.feeds[s.f.id] == s.f {
		delete(s.w.feeds, s.f.id)
	}
}

var errClosed = errors.New("the subscription is closed")

// Next waits for events and returns them, at least one: in order, without gaps,
// and each once. They are shared with other readers, and must not be changed. It
// returns ErrNotFound when there is no such backup any more, ErrSlowReader and
// ErrWatcherStopped, and the cause of ctx's end. After that of ctx, or an error of
// the database, it may be called again.
func (s *Subscription) Next(ctx context.Context) ([]Event, error) {
	for {
		events, changed, err := s.take()
		if err == nil && len(events) == 0 && changed == nil {
			events, err = s.replay(ctx)
		}
		if err != nil || len(events) > 0 {
			return events, err
		}
		if changed == nil {
			continue // the replay has ended without an event
		}
		if err := s.wait(ctx, changed); err != nil {
			return nil, err
		}
	}
}

// wait returns when there may be more events. A Watcher that nobody runs changes
// nothing: its readers look by themselves.
func (s *Subscription) wait(ctx context.Context, changed <-chan struct{}) error {
	var look <-chan time.Time
	if !s.w.isRunning() {
		if s.look == nil {
			s.look = time.NewTimer(s.w.poll)
		}
		look = s.look.C // it goes on between calls: they may come more often
	}
	select {
	case <-changed:
	case <-look:
		s.w.mu.Lock()
		defer s.w.mu.Unlock()
		s.live = false
	case <-s.w.stopped:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// take is what the feed holds for the reader, or else what to wait for. Without
// either the reader has to read by itself.
func (s *Subscription) take() (events []Event, changed <-chan struct{}, err error) {
	select {
	case <-s.w.stopped:
		return nil, nil, ErrWatcherStopped
	default:
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.end != nil {
		return nil, nil, s.end
	}
	if !s.live {
		return nil, nil, nil
	}
	events = s.f.after(s.seq)
	if len(events) == 0 {
		if s.f.gone {
			return nil, nil, ErrNotFound
		}
		return nil, s.f.changed, nil
	}
	s.seq = s.f.head
	if len(s.f.subs) == 1 {
		s.f.trim(s.seq) // nobody else needs them
	}
	return events, nil, nil
}

// replay reads a page of what was there before the reader, at the reader's own
// pace. Behind the last page the reader is live.
func (s *Subscription) replay(ctx context.Context) ([]Event, error) {
	select {
	case s.w.replays <- struct{}{}:
	case <-s.w.stopped:
		return nil, ErrWatcherStopped
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if s.look != nil {
		s.look.Reset(s.w.poll)
	}
	var p page
	err := s.w.c.pages(ctx, []string{s.f.id}, []int64{s.seq}, func(got page) { p = got })
	<-s.w.replays
	if err != nil {
		return nil, err
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if p.gone {
		return nil, ErrNotFound
	}
	if len(p.events) == pageEvents {
		s.seq = p.events[pageEvents-1].Seq
		return p.events, nil
	}
	s.seq = p.head // whatever was asked for, and even if the last events were pruned
	s.join()
	return p.events, nil
}

// join makes the reader live, if the feed holds what the reader lacks by now.
func (s *Subscription) join() {
	f := s.f
	if !f.known {
		f.known, f.head, f.from = true, s.seq, s.seq
		if f.dirty { // somebody told of more meanwhile
			s.w.wakeUp()
		}
	}
	s.live = s.seq >= f.from
}
