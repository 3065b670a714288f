package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Stall is a transport whose answers fail when nothing of their body comes for as long
// as After. The time between two reads doesn't count.
type Stall struct {
	http.RoundTripper

	After time.Duration
}

// RoundTrip is that of a transport.
func (s *Stall) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	res, err := s.RoundTripper.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	res.Body = &stalling{body: res.Body, cancel: cancel, after: s.After}
	return res, nil
}

type stalling struct {
	body   io.ReadCloser
	cancel context.CancelFunc
	after  time.Duration
}

// Read is io.Reader's.
func (s *stalling) Read(p []byte) (int, error) {
	timer := time.AfterFunc(s.after, s.cancel)
	n, err := s.body.Read(p)
	if !timer.Stop() && err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("the server has sent nothing for %s", s.after)
	}
	return n, err
}

// Close is io.Closer's.
func (s *stalling) Close() error {
	defer s.cancel()
	return s.body.Close()
}
