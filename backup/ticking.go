package backup

import (
	"context"
	"fmt"
	"time"
)

// Ticking reports whether River's leader has made one of our periodic jobs, which
// Reconcile's is each minute, in the last d; and who leads, if anybody does.
func (l *Ledger) Ticking(ctx context.Context, d time.Duration) (ticking bool, leader string, err error) {
	err = l.c.cfg.Pool.QueryRow(ctx, l.c.sql(`SELECT EXISTS (SELECT FROM {{schema}}.river_job WHERE kind = @kind AND created_at > now() - @d::interval),
		coalesce((SELECT min(leader_id) FROM {{schema}}.river_leader WHERE expires_at > now()), '')`),
		named{"kind": KindReconcile, "d": d}).Scan(&ticking, &leader)
	if err != nil {
		return false, "", fmt.Errorf("look for periodic jobs: %w", err)
	}
	return ticking, leader, nil
}
