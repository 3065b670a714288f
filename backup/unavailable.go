package backup

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"github.com/sitebackup/sitebackup/migrations"
)

// IsUnavailable reports whether err means that the database could not be reached
// or would not serve, so that the same call may work later. What a call that
// writes has done is then unknown.
func IsUnavailable(err error) bool {
	var connectErr *pgconn.ConnectError
	var pgErr *pgconn.PgError
	var netErr net.Error // the deadline of a context is one, too
	switch {
	case errors.As(err, &connectErr):
		return true
	case errors.As(err, &pgErr):
		return unavailableCode(pgErr.Code)
	}
	return errors.As(err, &netErr) ||
		errors.Is(err, puddle.ErrClosedPool) || errors.Is(err, puddle.ErrNotAvailable) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		pgconn.SafeToRetry(err)
}

// unavailableCode is about SQLSTATEs: a connection that failed, a server that
// stops, starts, is full, or is a standby after a failover.
func unavailableCode(code string) bool {
	switch code {
	case "57P01", "57P02", "57P03", "57P05", "53300", "25006", "25P03":
		return true
	}
	return strings.HasPrefix(code, "08")
}

// CheckDatabase returns nil when the database answers and has every migration
// that this release needs.
func (c *Client) CheckDatabase(ctx context.Context) error {
	if c.cfg.Pool == nil {
		return errNoPool
	}
	return migrations.Validate(ctx, c.cfg.Pool, &migrations.Config{Schema: c.cfg.Schema, Logger: c.cfg.Logger})
}
