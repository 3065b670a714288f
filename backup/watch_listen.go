package backup

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	listenPatience = 10 * time.Second // for a connection, and for its answer
	silence        = 30 * time.Second
	firstPause     = 250 * time.Millisecond
	longestPause   = 15 * time.Second
)

// listen has a connection that waits for notifications, and makes it anew when it
// has failed.
func (w *Watcher) listen(ctx context.Context) {
	wait := firstPause
	for {
		listened, err := w.listenOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if listened {
			wait = firstPause
		}
		w.c.cfg.Logger.WarnContext(ctx, "notifications of events are lost until the connection is made anew", slog.Any("error", err), slog.Duration("poll", w.poll))
		if !pause(ctx, wait) {
			return
		}
		wait = min(2*wait, longestPause)
	}
}

// listenOnce listens until the connection fails or ctx ends.
func (w *Watcher) listenOnce(ctx context.Context) (listened bool, err error) {
	conn, err := w.connect(ctx)
	if err != nil {
		return false, err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing) // it may be broken
	}()
	starting, cancel := context.WithTimeout(ctx, listenPatience)
	defer cancel()
	if _, err := conn.Exec(starting, "LISTEN "+pgx.Identifier{w.c.channel()}.Sanitize()); err != nil {
		return false, fmt.Errorf("listen: %w", err)
	}
	w.look("") // at what nobody told us of
	for {
		if err := w.listenNext(ctx, conn); err != nil {
			return true, err
		}
	}
}

// connect takes a connection out of the pool for good, so that it was made in the
// pool's way and the pool has as many as before for others.
func (w *Watcher) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, listenPatience)
	defer cancel()
	conn, err := w.c.cfg.Pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("acquire connection: %w", err)
	}
	return conn.Hijack(), nil
}

// listenNext waits for one notification, or asks the connection whether it lives.
func (w *Watcher) listenNext(ctx context.Context, conn *pgx.Conn) error {
	waiting, cancel := context.WithTimeout(ctx, w.silence)
	defer cancel()
	n, err := conn.WaitForNotification(waiting)
	if err == nil {
		w.look(n.Payload)
		return nil
	}
	if ctx.Err() != nil || waiting.Err() == nil {
		return fmt.Errorf("wait for notification: %w", err)
	}
	asking, cancel := context.WithTimeout(ctx, listenPatience)
	defer cancel()
	if err := conn.Ping(asking); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return nil
}
