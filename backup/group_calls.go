package backup

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"
)

// verb is a call with its arguments and results around it.
type verb interface {
	base() *call
	join(g *group)
}

func (c *call) base() *call { return c }

// group is what is written together, by its verbs.
type group struct {
	claims    []*taskClaim
	opens     []*taskOpen
	gates     []*taskGate
	ends      []*taskEnd
	steps     []*stepClaim
	plans     []*planEnd
	manifests []*manifestSave
	seals     []*sealEnd
}

func (v *taskClaim) join(g *group)    { g.claims = append(g.claims, v) }
func (v *taskOpen) join(g *group)     { g.opens = append(g.opens, v) }
func (v *taskGate) join(g *group)     { g.gates = append(g.gates, v) }
func (v *taskEnd) join(g *group)      { g.ends = append(g.ends, v) }
func (v *stepClaim) join(g *group)    { g.steps = append(g.steps, v) }
func (v *planEnd) join(g *group)      { g.plans = append(g.plans, v) }
func (v *manifestSave) join(g *group) { g.manifests = append(g.manifests, v) }
func (v *sealEnd) join(g *group)      { g.seals = append(g.seals, v) }

// queue adds the statements of the verbs that the group has calls of.
func (g *group) queue(c *Client, batch *pgx.Batch) {
	queue(c, batch, g.claims, queueClaims)
	queue(c, batch, g.opens, queueOpens)
	queue(c, batch, g.gates, queueGates)
	queue(c, batch, g.ends, queueEnds)
	queue(c, batch, g.steps, queueStepClaims)
	queue(c, batch, g.plans, queuePlans)
	queue(c, batch, g.manifests, queueManifests)
	queue(c, batch, g.seals, queueSeals)
}

func queue[V verb](c *Client, batch *pgx.Batch, calls []V, add func(*Client, *pgx.Batch, []V)) {
	if len(calls) > 0 {
		add(c, batch, calls)
	}
}

// decides reports whether the group may need River jobs.
func (g *group) decides() bool { return len(g.ends)+len(g.plans) > 0 }

// decide inserts the River jobs of the backups that are planned, and of those
// whose last task has ended, and moves both on.
func (g *group) decide(ctx context.Context, c *Client, tx pgx.Tx) error {
	planned, sealing := held(g.plans), lastOf(g.ends)
	var params []river.InsertManyParams
	for _, p := range planned {
		params = append(params, p.plan(c)...)
	}
	for _, s := range sealing {
		params = append(params, c.sealJob(s.backup))
	}
	if len(params) == 0 {
		return nil
	}
	jobs, err := c.river.InsertManyTx(ctx, tx, params)
	if err != nil {
		return fmt.Errorf("insert River jobs: %w", err)
	}
	for _, p := range planned {
		jobs = p.take(jobs)
	}
	for i := range sealing {
		sealing[i].job = jobs[i].Job.ID
	}
	var batch pgx.Batch
	if len(planned) > 0 {
		if err := queuePlanned(c, &batch, planned); err != nil {
			return err
		}
	}
	if len(sealing) > 0 {
		if err := queueSealing(c, &batch, sealing); err != nil {
			return err
		}
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("write group: %w", err)
	}
	return nil
}

// held are the calls whose rows are as they need them.
func held[V verb](calls []V) (ok []V) {
	for _, v := range calls {
		if v.base().ok {
			ok = append(ok, v)
		}
	}
	return ok
}

// errGroup means that a group's rows have changed under its locks, which is a bug.
// It is rolled back.
var errGroup = errors.New("the rows of a group have changed under its locks")

// all checks that a statement wrote n rows.
func all(n int) func(pgconn.CommandTag) error {
	return func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != int64(n) {
			return errGroup
		}
		return nil
	}
}
