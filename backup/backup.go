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
	MaxSize           int64 // the most bytes all its exports together may have; 0: no limit

	CreatedAt         time.Time
	StartedAt         *time.Time // when it was planned
	FinishedAt        *time.Time // when it became done, failed or canceled
	CancelRequestedAt *time.Time // a cancel that waits for tasks which are committing
	NextAttemptAt     *time.Time // when planning, sealing, deletion or verification is tried again
	Failure           *Failure   // why it failed, or why planning, sealing or deletion is tried again or was given up

	HeldAt     *time.Time // since when a legal hold keeps it from being deleted; nil: none does
	HoldReason string

	VerifiedAt   *time.Time    // when a verification last found nothing wrong
	CorruptAt    *time.Time    // when one last found damage; nil: none did, or a later one that read everything found nothing wrong
	Verification *Verification // what the last one found; nil: there was none

	ScheduleID string     // the schedule that started it, which may be gone; empty: none did
	Slot       *time.Time // the slot it was started for; nil: the schedule was run out of turn

	ManifestKey string // the manifest's key in the store; empty unless the state is done

	// Tasks are ordered by provider. List leaves them out.
	Tasks []*Task

	openTasks    int
	failedTasks  int
	eventSeq     int64
	riverJobID   *int64
	failures     int
	generation   int
	leaseToken   *uuid.UUID
	lost         int            // workers that died one after another at the step, before the one whose lease it has
	requestedAge *time.Duration // since its deletion was asked for; nil: none is under way
	older        int            // how many backups of its user were open when it was started
}

// Task is one provider's export within a backup.
type Task struct {
	ID       string // a UUID
	BackupID string
	Provider string
	State    TaskState

	// Attempt is the number of the present or next attempt among those that count
	// against the provider's MaxAttempts, from 1 on; 0 before the task first runs.
	// Attempts that ended because their worker died or was stopped, and waits that
	// the source asked for, don't count; and the count begins again when an attempt
	// that went on behind another one came further.
	Attempt       int
	NextAttemptAt *time.Time
	StartedAt     *time.Time
	FinishedAt    *time.Time
	Failure       *Failure // of the last attempt that failed; nil once the task is done

	// Attempts are those that have ended, in order; the last 100 of them.
	Attempts []Attempt

	ReceivedBytes int64  // read from the source, as of the last heartbeat
	Rate          int64  // bytes a second, as of the last heartbeat; 0 when it doesn't run
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

	failures      int
	riverJobID    *int64
	leaseToken    *uuid.UUID
	uploadID      uuid.UUID
	validator     string
	cursor        string
	stagedAt      *time.Time
	hashState     []byte
	fromBytes     int64
	progressBytes int64
	announcedSum  []byte
	progressed    bool           // this failure's attempt came further
	age           *time.Duration // since the first failure, or since it last came further; nil before
}

// maxETA is the longest ETA. That of a large stream which has all but stopped would
// overflow a time.Duration.
const maxETA = 10 * 365 * 24 * time.Hour

// ETA is how long the export will take at the present rate, or nil where that
// can't be told: the source hasn't announced its size, or nothing comes in.
func (t *Task) ETA() *time.Duration {
	if t.AnnouncedSize == nil || t.Rate <= 0 || t.State != TaskRunning {
		return nil
	}
	rest := max(*t.AnnouncedSize-t.ReceivedBytes, 0)
	eta := time.Duration(min(float64(rest)/float64(t.Rate), maxETA.Seconds()) * float64(time.Second)).Round(time.Second)
	return &eta
}

// Failure says what went wrong.
type Failure struct {
	Class   Class
	Message string // one line
	Hint    string // what to look at; may be empty
}
