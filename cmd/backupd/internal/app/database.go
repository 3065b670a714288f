package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
)

const (
	// apiConns are the connections of the API, the dashboard and the workers' ledger: a
	// running task holds none.
	apiConns = 10
	// riverConns is what River's client needs: its leader, its listener, its fetches, and
	// what it writes of jobs that have ended.
	riverConns = 16
	// leaseConns renew leases, which must not wait for anybody's queries: one that isn't
	// renewed in time is lost, and with it an attempt.
	leaseConns = 4

	leastConns = 4 // that an operator may set for each pool

	connectTimeout = 5 * time.Second
	firstPause     = 250 * time.Millisecond
	longestPause   = 4 * time.Second
)

var errNoDatabase = errors.New("no database is configured: set the environment variable DATABASE_URL, or database.url in the configuration file")

// OpenPool makes a pool. It doesn't connect.
func OpenPool(ctx context.Context, f *config.File, name string, conns int32) (*pgxpool.Pool, error) {
	if f.Database.URL.IsZero() {
		return nil, errNoDatabase
	}
	cfg, err := pgxpool.ParseConfig(f.Database.URL.Value())
	if err != nil {
		// The reason may quote what could be a password.
		return nil, fmt.Errorf("parse the database's URL from %s: it must be like postgres://user@host/database", f.Database.URL)
	}
	switch {
	case !maxConnsAsked(f.Database.URL.Value()):
		cfg.MaxConns = conns // and not one for each core, as pgxpool has it
	case cfg.MaxConns < leastConns:
		return nil, fmt.Errorf("database.url: pool_max_conns is for each of up to three pools, and must be at least %d", leastConns)
	}
	cfg.ConnConfig.ConnectTimeout = connectTimeout
	cfg.PingTimeout = connectTimeout // of a connection that was idle, before it is used again
	// Of a process that was stopped, or whose host is gone, Postgres isn't told. Its
	// open transactions would hold their locks until TCP gives up: River's leader
	// could have no successor. A startup parameter would be refused by pgbouncer.
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "SET idle_in_transaction_session_timeout = '10s'")
		return err
	}
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "backupd " + name
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	return pool, nil
}

// maxConnsAsked reports whether a URL, or a string of keywords and values, says how many
// connections a pool has.
func maxConnsAsked(url string) bool { return strings.Contains(url, "pool_max_conns=") }

// WaitForDatabase tries to reach the database again and again, for at most wait.
// What waiting can't mend ends it at once.
func WaitForDatabase(ctx context.Context, pool *pgxpool.Pool, wait time.Duration, log *slog.Logger) error {
	cfg := pool.Config().ConnConfig
	where := fmt.Sprintf("%s:%d/%s", cfg.Host, cfg.Port, cfg.Database)
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for pause, try := firstPause, 1; ; pause, try = min(2*pause, longestPause), try+1 {
		err := ping(limited, pool)
		if err == nil {
			return nil
		}
		if !worthWaiting(err) {
			return fmt.Errorf("connect to the database %s: %s", where, connectReason(err))
		}
		log.WarnContext(ctx, "database is not reachable yet", slog.String("database", where), slog.Int("try", try), slog.String("error", connectReason(err)))
		if !sleep(limited, pause) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("connect to the database %s: not reachable in %s, with %d tries: %s", where, wait, try, connectReason(err))
		}
	}
}

// whileAway calls fn again as long as it fails because the database went away, for
// at most wait.
func whileAway(ctx context.Context, wait time.Duration, fn func() error) error {
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := fn()
		if err == nil || !worthWaiting(err) || !sleep(limited, pause) {
			return err
		}
	}
}

func ping(ctx context.Context, pool *pgxpool.Pool) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return pool.Ping(ctx)
}

// worthWaiting tells a server that isn't there yet from one that refuses us: a
// wrong password, no such database.
func worthWaiting(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return strings.HasPrefix(refused.Code, "57P") || strings.HasPrefix(refused.Code, "08") || refused.Code == "53300"
	}
	return backup.IsUnavailable(err)
}

// connectReason is why a connection failed, without the user and database again.
func connectReason(err error) string {
	var failed *pgconn.ConnectError
	if errors.As(err, &failed) && failed.Unwrap() != nil {
		err = failed.Unwrap()
	}
	return OneLine(err)
}

// OneLine is the text of err in one line. That of a connection that failed has
// one for each address that was tried, and the same one twice for one that was
// tried with and without TLS.
func OneLine(err error) string {
	var texts []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(texts, line) {
			texts = append(texts, line)
		}
	}
	return strings.ReplaceAll(strings.Join(texts, "; "), ":; ", ": ")
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
