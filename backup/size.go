package backup

import (
	"cmp"
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// SizeError means that an export, or all those of a backup together, have more
// bytes than their limit, or fewer than their minimum.
type SizeError struct {
	What      string // "export", "backup"
	Limit     int64  // bytes; with TooSmall, the minimum
	Announced int64  // bytes that the source announced, or -1
	Received  int64  // bytes that had arrived when the limit was found to be exceeded
	TooSmall  bool   // the limit is a minimum
}

func (e *SizeError) Error() string {
	announced, than := "nothing", "larger than its limit: the limit is"
	if e.Announced >= 0 {
		announced = strconv.FormatInt(e.Announced, 10) + " bytes"
	}
	if e.TooSmall {
		than = "smaller than its minimum: the minimum is"
	}
	return fmt.Sprintf("the %s is %s %d bytes, announced were %s, received %d bytes", e.What, than, e.Limit, announced, e.Received)
}

const sizeHint = "raise the limit, or make the exports smaller"

// TooLarge makes the permanent error of an export or a backup that is larger than
// its limit. announced is -1 where the source didn't say.
func TooLarge(what string, limit, announced, received int64) error {
	return Permanent(&SizeError{What: what, Limit: limit, Announced: announced, Received: received}, sizeHint)
}

// checkSize returns a permanent *SizeError when the exports of b, as far as they
// are announced and received, are together larger than its limit.
func (l *Ledger) checkSize(ctx context.Context, q querier, b *Backup) error {
	if b.MaxSize == 0 {
		return nil
	}
	rows, err := q.Query(ctx, l.c.sql(`
		SELECT least(coalesce(sum(greatest(coalesce(announced_size, 0), stored_bytes)), 0), 9223372036854775807)::bigint, coalesce(sum(stored_bytes), 0)::bigint,
			coalesce(sum(greatest(coalesce(announced_size, 0), stored_bytes)), 0) > @most::bigint
		FROM {{schema}}.backup_task WHERE backup_id = @id AND state NOT IN ('failed', 'canceled')`), named{"id": b.ID, "most": b.MaxSize})
	if err != nil {
		return fmt.Errorf("read sizes: %w", err)
	}
	var announced, stored int64
	var over bool
	if _, err = pgx.ForEachRow(rows, []any{&announced, &stored, &over}, func() error { return nil }); err != nil {
		return fmt.Errorf("read sizes: %w", err)
	}
	if over {
		return TooLarge("backup", b.MaxSize, announced, stored)
	}
	return nil
}

// lower is the lower of two limits, of which 0 is none.
func lower(a, b int64) int64 {
	if a == 0 || b == 0 {
		return cmp.Or(a, b)
	}
	return min(a, b)
}
