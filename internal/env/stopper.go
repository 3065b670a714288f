package env

import (
	"context"
	"sync"
	"time"
)

// stopPatience bounds Close.
const stopPatience = 30 * time.Second

// stopper stops a service once. Without a stop function the service is another's and stays as it is.
type stopper struct {
	once sync.Once
	stop func(context.Context) error
	err  error
}

// Stop ends the server in order, or by force when ctx is done first, and removes what it made. A
// server that was given is left as it is. Later calls return what the first one did.
func (s *stopper) Stop(ctx context.Context) error {
	s.once.Do(func() {
		if s.stop != nil {
			s.err = s.stop(ctx)
		}
	})
	return s.err
}

// Close is Stop with a deadline of half a minute.
func (s *stopper) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	return s.Stop(ctx)
}
