package backup

import (
	"github.com/google/uuid"
	"github.com/riverqueue/river"
)

// ArgsVersion is the version of the args that this release writes, and the
// latest that its workers understand.
const ArgsVersion = 1

// Names of River kinds and queues.
const (
	KindPlan       = "backup"           // plans a backup; anybody may insert it, see PlanArgs
	KindSeal       = "backup_seal"      // writes a backup's manifest
	KindReconcile  = "backup_reconcile" // compares open backups with River's jobs
	KindTaskPrefix = "backup_task_"     // followed by the provider's name

	QueueControl    = "backup"       // planning, sealing, periodic jobs
	QueueTaskPrefix = KindTaskPrefix // one queue per provider
)

// PlanArgs are the args of the River job that plans a backup.
//
// Start inserts it with BackupID alone. Any River client in any language, or
// plain SQL, may insert one with user_id and site_id instead: the backup is
// then made when the job runs, once per River job and, where idempotency_key
// is given, once per user, site and key.
type PlanArgs struct {
	Version        int               `json:"v,omitempty"`
	BackupID       string            `json:"backup_id,omitempty"`
	UserID         string            `json:"user_id,omitempty"`
	SiteID         string            `json:"site_id,omitempty"`
	Providers      []string          `json:"providers,omitempty"`
	Labels         map[string]string `json:"labels,omitempty"`
	IdempotencyKey string            `json:"idempotency_key,omitempty"`
	MaxSize        int64             `json:"max_size,omitempty"` // bytes
}

// Kind is KindPlan.
func (PlanArgs) Kind() string { return KindPlan }

// TaskArgs are the args of the River job that works on one provider's task.
type TaskArgs struct {
	Version  int    `json:"v"`
	BackupID string `json:"backup_id"`
	TaskID   string `json:"task_id"`
	Provider string `json:"provider"`
}

// Kind is KindTaskPrefix and the provider's name.
func (a TaskArgs) Kind() string { return KindTaskPrefix + a.Provider }

// SealArgs are the args of the River job that writes a backup's manifest.
type SealArgs struct {
	Version  int    `json:"v"`
	BackupID string `json:"backup_id"`
}

// Kind is KindSeal.
func (SealArgs) Kind() string { return KindSeal }

// ReconcileArgs are the args of the periodic River job that mends what happened
// to other jobs behind the workers' backs.
type ReconcileArgs struct{}

// Kind is KindReconcile.
func (ReconcileArgs) Kind() string { return KindReconcile }

// jobMetadata is what operators find on a River job. It must not use the keys
// workflow_id, workflow_name, task or deps, which River UI takes for its own.
type jobMetadata struct {
	BackupID string `json:"backup_id"`
	UserID   string `json:"user_id"`
	SiteID   string `json:"site_id"`
	TaskID   string `json:"task_id,omitempty"`
	Provider string `json:"provider,omitempty"`
	URL      string `json:"url,omitempty"`
}

func (c *Client) planJob(b *Backup, rank int) river.InsertManyParams {
	return river.InsertManyParams{
		Args:       PlanArgs{Version: ArgsVersion, BackupID: b.ID},
		InsertOpts: c.insertOpts(QueueControl, b, nil, rank),
	}
}

func (c *Client) sealJob(b *Backup) river.InsertManyParams {
	return river.InsertManyParams{
		Args:       SealArgs{Version: ArgsVersion, BackupID: b.ID},
		InsertOpts: c.insertOpts(QueueControl, b, nil, 1), // what is under way goes first
	}
}

func (c *Client) taskJob(b *Backup, t *Task, rank int) river.InsertManyParams {
	return river.InsertManyParams{
		Args:       TaskArgs{Version: ArgsVersion, BackupID: b.ID, TaskID: t.ID, Provider: t.Provider},
		InsertOpts: c.insertOpts(QueueTaskPrefix+t.Provider, b, t, rank),
	}
}

func newID() string {
	return uuid.Must(uuid.NewV7()).String() // fails only if the system's random source does
}

// validID reports whether id is a UUID in its canonical form.
func validID(id string) bool { return len(id) == 36 && uuid.Validate(id) == nil }
