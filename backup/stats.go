package backup

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Stats are counts over all backups, for an operator's monitoring.
type Stats struct {
	Backups     map[State]int64     // has every state
	Tasks       map[TaskState]int64 // has every state
	StoredBytes int64               // of all objects of done tasks
	OldestOpen  time.Duration       // age of the oldest backup that has not ended and isn't being deleted; 0 if there is none
	Jobs        []JobCount          // ordered by queue and state

	Schedules       map[ScheduleState]int64 // has every state
	PausedSchedules int64                   // of all these
}

// ScheduleState says of a schedule what its newest good backup says.
type ScheduleState string

// The states.
const (
	ScheduleStateFresh     ScheduleState = "fresh"
	ScheduleStateStale     ScheduleState = "stale"     // too old, and without an alert yet
	ScheduleStateAlerting  ScheduleState = "alerting"  // too old, with an alert
	ScheduleStateUnwatched ScheduleState = "unwatched" // it has no MaxAge
)

// JobCount is how many River jobs of a state a queue of ours has, or the queue
// "default". Jobs that have ended are not counted: River prunes them.
type JobCount struct {
	Queue string
	State string // "available", "pending", "retryable", "running" or "scheduled"
	Jobs  int64
}

// Stats counts backups, tasks, schedules and jobs as of one instant. It reads every row
// of the first three: call it every few seconds at most, and with a deadline.
func (c *Client) Stats(ctx context.Context) (*Stats, error) {
	if c.cfg.Pool == nil {
		return nil, errNoPool
	}
	s := &Stats{
		Backups: map[State]int64{
			StatePending: 0, StateRunning: 0, StateSealing: 0, StateDone: 0, StateFailed: 0, StateCanceled: 0, StateDeleting: 0,
		},
		Tasks: map[TaskState]int64{
			TaskPending: 0, TaskRunning: 0, TaskCommitting: 0, TaskDone: 0, TaskFailed: 0, TaskCanceled: 0,
		},
		Schedules: map[ScheduleState]int64{
			ScheduleStateFresh: 0, ScheduleStateStale: 0, ScheduleStateAlerting: 0, ScheduleStateUnwatched: 0,
		},
	}
	rows, err := c.cfg.Pool.Query(ctx, c.sql(statsQuery), named{"now": c.injected()})
	if err != nil {
		return nil, fmt.Errorf("count backups: %w", err)
	}
	var what, state, queue string
	var count, size int64
	_, err = pgx.ForEachRow(rows, []any{&what, &state, &queue, &count, &size}, func() error {
		switch what {
		case "backup":
			s.Backups[State(state)] = count
		case "task":
			s.Tasks[TaskState(state)] = count
			s.StoredBytes += size
		case "oldest":
			s.OldestOpen = time.Duration(size) * time.Millisecond
		case "schedule":
			s.Schedules[ScheduleState(state)] = count
			s.PausedSchedules += size
		default:
			s.Jobs = append(s.Jobs, JobCount{Queue: queue, State: state, Jobs: count})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count backups: %w", err)
	}
	return s, nil
}

const statsQuery = `
	SELECT 'backup', state, '' AS queue, count(*), 0::bigint FROM {{schema}}.backup GROUP BY state
	UNION ALL
	SELECT 'oldest', '', '', 0, coalesce(extract(epoch FROM coalesce(@now, now()) - min(created_at)) * 1000, 0)::bigint
		FROM {{schema}}.backup WHERE state IN ('pending', 'running', 'sealing')
	UNION ALL
	SELECT 'task', state, '', count(*), coalesce(sum(size) FILTER (WHERE state = 'done'), 0)::bigint FROM {{schema}}.backup_task GROUP BY state
	UNION ALL
	SELECT 'schedule', state, '', count(*), count(paused_at) FROM (
		SELECT s.paused_at, CASE
				WHEN s.alert_at IS NOT NULL THEN 'alerting'
				WHEN s.stale_at IS NULL THEN 'unwatched'
				WHEN s.stale_at > n.now OR coalesce(` + freshColumns + `, s.created_at) + s.max_age > n.now THEN 'fresh'
				ELSE 'stale' END AS state
		FROM {{schema}}.backup_schedule s, (SELECT coalesce(@now, now()) AS now) n) s GROUP BY state
	UNION ALL
	SELECT 'job', state::text, queue, count(*), 0 FROM {{schema}}.river_job
		WHERE state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
			AND (queue IN ('` + QueueControl + `', '` + QueueVerify + `', 'default') OR starts_with(queue, '` + QueueTaskPrefix + `'))
		GROUP BY state, queue
	ORDER BY 3, 2`
