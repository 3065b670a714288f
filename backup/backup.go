package backup

import (
	"time"

	"github.com/google/uuid"
)

// Backup is one backup of a user's site.
type Backup struct {
	ID                string // a UUID (version 7), so ids grow with time
	UserID            string
	SiteID            string
	State             State
	Providers         []string // those that were asked for; nil: all that are configured when it is planned
	Labels            map[string]string
	ContinueOnFailure bool

	CreatedAt         time.Time
	StartedAt         *time.Time // when it was planned
	FinishedAt        *time.Time // when it became done, failed or canceled
	CancelRequestedAt *time.Time // a cancel that waits for tasks which are committing
	NextAttemptAt     *time.Time // when planning or sealing is tried again
	Failure           *Failure   // why it failed, or why planning or sealing is tried again

	ManifestKey string // the manifest's key in the store; empty unless the state is done

	// Tasks are ordered by provider. List leaves them out.
	Tasks []*Task

	openTasks   int
	failedTasks int
	eventSeq    int64
	riverJobID  *int64
	failures    int
	generation  int
	leaseToken  *uuid.UUID
}

// Task is one provider's export within a backup.
type Task struct {
	ID       string // a UUID
	BackupID string
	Provider string
	State    TaskState

	// Attempt counts from 1 when the task first runs. Attempts that ended because
	// their worker died or was stopped, and waits that the source asked for, don't
	// count.
	Attempt       int
	NextAttemptAt *time.Time
	StartedAt     *time.Time
	FinishedAt    *time.Time
	Failure       *Failure // of the last attempt that failed; nil once the task is done

	ReceivedBytes int64  // read from the source, as of the last heartbeat
	StoredBytes   int64  // stored, hashed and in the journal: what a crash can't take
	StoredParts   int    // the parts those bytes are in
	AnnouncedSize *int64 // what the source said the export's size is

	ObjectKey   string // where the object will be, or is from TaskDone on
	ContentType string // set when the export has been opened

	// The following are set from TaskCommitting on.
	Size   int64
	SHA256 []byte // 32 bytes
	Proof  Proof
	// The source made the export between these two instants: from before it was
	// asked to when its last byte arrived.
	CaptureStartedAt  *time.Time
	CaptureFinishedAt *time.Time

	failures    int
	riverJobID  *int64
	leaseToken  *uuid.UUID
	leaseWorker *string
	uploadID    uuid.UUID
	validator   string
	hashState   []byte
}

// Failure says what went wrong.
type Failure struct {
	Class   Class
	Message string // one line
	Hint    string // what to look at; may be empty
}
