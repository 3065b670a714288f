package backup

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/jackc/pgx/v5"
)

// ValidateSchedule returns a *FieldError for the first thing in p that PutSchedule would
// refuse. It asks no database.
func (c *Client) ValidateSchedule(p ScheduleParams) error {
	if err := c.scheduleDefaults(&p); err != nil {
		return err
	}
	return (&Schedule{ScheduleParams: p}).parse()
}

// Declared says what DeclareSchedules changed.
type Declared struct{ Put, Deleted int }

// DeclareSchedules makes the declared schedules those of ps, in one transaction: each of
// them is put with Declared set, also where somebody else made it, and those declared
// earlier that ps doesn't have are deleted, as DeleteSchedule does. One that is what ps says already keeps its
// version. One whose user or site is being erased is left out, until this is called again
// when that has ended: an error would keep a server from starting that may be the only
// one to go on with the erasure. Of several processes one goes behind the other, and the
// last one's ps holds. A bad schedule is a *FieldError whose field begins with its place,
// such as "schedules[2].cron".
func (c *Client) DeclareSchedules(ctx context.Context, ps []ScheduleParams) (done Declared, err error) {
	ps = slices.Clone(ps)
	names := make(map[[3]string]bool, len(ps))
	for i := range ps {
		p := &ps[i]
		p.Declared, p.IfAbsent, p.IfVersion = true, false, 0
		err := c.scheduleDefaults(p)
		if err == nil {
			err = (&Schedule{ScheduleParams: *p}).parse()
		}
		key := [3]string{p.UserID, p.SiteID, p.Name}
		if err == nil && names[key] {
			err = &FieldError{"name", "is there twice for this user's site"}
		}
		if err != nil {
			return done, declaredField(i, err)
		}
		names[key] = true
	}
	err = c.inTx(ctx, func(tx pgx.Tx) error {
		done, err = c.declare(ctx, tx, ps)
		return err
	})
	return done, err
}

func declaredField(i int, err error) error {
	if field, ok := err.(*FieldError); ok { //nolint:errorlint // it is ours
		return &FieldError{fmt.Sprintf("schedules[%d].%s", i, field.Field), field.Rule}
	}
	return fmt.Errorf("schedules[%d]: %w", i, err)
}

const lockDeclared = `SELECT pg_advisory_xact_lock(hashtextextended('sitebackup declared schedules ' || @schema, 0))`

func (c *Client) declare(ctx context.Context, tx pgx.Tx, ps []ScheduleParams) (done Declared, err error) {
	if _, err := tx.Exec(ctx, lockDeclared, named{"schema": c.cfg.Schema}); err != nil {
		return done, fmt.Errorf("lock declared schedules: %w", err)
	}
	keep := make([]string, 0, len(ps))
	for _, p := range ps {
		s, err := c.scheduleNamed(ctx, tx, &p)
		if err != nil {
			return done, err
		}
		if s == nil || !s.same(p) {
			s, err = c.PutScheduleTx(ctx, tx, p)
			if erasing := new(ErasingError); errors.As(err, &erasing) {
				c.cfg.Logger.WarnContext(ctx, "a declared schedule isn't put while its user or site is being erased", "name", p.Name, "erasure", erasing.ErasureID)
				continue
			}
			if err != nil {
				return done, fmt.Errorf("declare schedule %q of user %q, site %q: %w", p.Name, p.UserID, p.SiteID, err)
			}
			done.Put++
		}
		keep = append(keep, s.ID)
	}
	done.Deleted, err = c.dropSchedules(ctx, tx, "declared AND id <> ALL (@keep::uuid[])", named{"keep": keep})
	if err != nil {
		return done, fmt.Errorf("delete schedules that aren't declared any more: %w", err)
	}
	return done, nil
}

// same reports whether to put p would change nothing of s. It may say no where that
// isn't so.
func (s *Schedule) same(p ScheduleParams) bool {
	has := s.ScheduleParams
	for _, q := range []*ScheduleParams{&has, &p} {
		q.Providers, q.Labels = nilIfEmpty(q.Providers), labels(q.Labels)
	}
	return reflect.DeepEqual(has, p)
}
