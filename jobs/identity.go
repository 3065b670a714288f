package jobs

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sitebackup/sitebackup/backup"
)

// identity is the name under which the process holds leases. A stable one is the
// process's own only as long as a session holds its advisory lock.
type identity struct {
	mu   sync.Mutex
	name string
}

func (i *identity) get() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.name
}

func (i *identity) set(name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.name = name
}

// identifyEvery is how often the session that holds the lock is looked at, and
// how often the lock is asked for while another session has it.
const identifyEvery = time.Second

// TakeBack makes the process known as Config.StableID, and gives what an earlier
// process of that id left behind when it died to the workers at once, without
// waiting for the end of its leases. Call it before the River client is started,
// and the function that it returns when that has stopped. Without a StableID it
// does nothing.
//
// The id is held by an advisory lock on a database session of its own. While
// another session has it (a second process of the same id, or an earlier one
// whose end Postgres hasn't noticed yet) the process works under another name
// and goes on trying. Through a pooler that shares sessions (pgbouncer in
// transaction mode) it must not be used.
func (w *Workers) TakeBack(ctx context.Context) (stop func(), err error) {
	if w.cfg.StableID == "" {
		return func() {}, nil
	}
	s := &session{w: w}
	if err := s.identify(ctx); err != nil {
		s.close(ctx)
		return nil, err
	}
	if w.identity.get() != w.cfg.StableID {
		w.cfg.Logger.WarnContext(ctx, "another process has the stable worker id, or its end isn't known yet", "id", w.cfg.StableID, "working as", w.identity.get())
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer s.close(ctx)
		s.keep(ctx)
	}()
	return func() {
		cancel()
		<-done
	}, nil
}

// session holds the lock of a stable id.
type session struct {
	w    *Workers
	conn *pgx.Conn // nil: none, or it was lost
	held bool
}

func (s *session) keep(ctx context.Context) {
	tick := time.NewTicker(identifyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.identify(ctx); err != nil && ctx.Err() == nil {
			s.w.cfg.Logger.WarnContext(ctx, "hold the stable worker id", "error", err)
		}
	}
}

// identify takes the lock if the session doesn't have it, and then what is left
// behind under the id.
func (s *session) identify(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, bookkeeping)
	defer cancel()
	if s.held && s.conn.Ping(ctx) == nil {
		return nil
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	w := s.w
	err = s.conn.QueryRow(ctx, backup.LockWorkerID, w.client.Schema(), w.cfg.StableID).Scan(&s.held)
	if err != nil {
		s.close(ctx)
		return fmt.Errorf("lock worker id %q: %w", w.cfg.StableID, err)
	}
	known := w.identity.get() == w.cfg.StableID
	switch {
	case s.held && known: // the session was lost and is back: what runs under the id is ours
		return nil
	case !s.held && known: // another process was faster
		w.identity.set(provisional(w.cfg.StableID))
		return nil
	case !s.held:
		return nil
	}
	taken, err := w.ledger.TakeBack(ctx, w.cfg.StableID)
	if err != nil {
		s.close(ctx)
		return err
	}
	w.identity.set(w.cfg.StableID)
	w.cfg.Logger.InfoContext(ctx, "known by the stable worker id", "id", w.cfg.StableID, "taken back", taken)
	return nil
}

// connect makes a connection, unless there is one that works.
func (s *session) connect(ctx context.Context) error {
	if s.conn != nil && s.conn.Ping(ctx) == nil {
		return nil
	}
	s.close(ctx)
	pool := s.w.client.Pool().Config()
	cfg := pool.ConnConfig.Copy()
	if pool.BeforeConnect != nil { // it may bring a password that changes
		if err := pool.BeforeConnect(ctx, cfg); err != nil {
			return fmt.Errorf("connect to hold worker id: %w", err)
		}
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("connect to hold worker id: %w", err)
	}
	s.conn = conn
	return nil
}

// close ends the session, and the lock with it, also when ctx has ended.
func (s *session) close(ctx context.Context) {
	s.held = false
	if s.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = s.conn.Close(ctx)
	s.conn = nil
}

// provisional is the name of a process that doesn't have its stable id yet.
func provisional(stable string) string { return stable + "-" + uuid.NewString()[:8] }
