package httpapi

import (
	"encoding/hex"
	"time"

	"github.com/sitebackup/sitebackup/backup"
)

// BackupSummary is a backup as a list shows it. A value that isn't known yet is
// left out.
type BackupSummary struct {
	ID                string            `json:"id" format:"uuid" doc:"The backup's id." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	UserID            string            `json:"userId" example:"658683afc91423af04d82152"`
	SiteID            string            `json:"siteId" example:"658683afc91423af04d82153"`
	Status            string            `json:"status" enum:"pending,running,done,failed,canceled,deleting" doc:"The backup's status. done means that every export was proven to be in the store, and its manifest with it." example:"running"`
	Providers         []string          `json:"providers,omitempty" doc:"The providers whose exports were requested. It is left out if all that were configured at planning time are exported."`
	Labels            map[string]string `json:"labels,omitempty"`
	ContinueOnFailure bool              `json:"continueOnFailure,omitempty"`
	SizeLimit         int64             `json:"sizeLimit,omitempty" doc:"The most bytes that all exports of the backup together may have. It is left out if there is no limit." example:"107374182400"`
	ScheduleID        string            `json:"scheduleId,omitempty" format:"uuid" doc:"The schedule that started the backup, which may have been deleted since. It is left out if no schedule did." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	Slot              *time.Time        `json:"slot,omitempty" doc:"The slot of the schedule for which the backup was started. It is left out if the schedule was run out of turn."`
	CreatedAt         time.Time         `json:"createdAt" doc:"When the backup was requested."`
	StartedAt         *time.Time        `json:"startedAt,omitempty" doc:"When the backup was planned."`
	FinishedAt        *time.Time        `json:"finishedAt,omitempty" doc:"When the backup became done, failed or canceled."`
	CancelRequestedAt *time.Time        `json:"cancelRequestedAt,omitempty" doc:"When the backup was asked to cancel. It is set while the cancellation waits for exports that are being committed."`
	NextAttemptAt     *time.Time        `json:"nextAttemptAt,omitempty" doc:"When planning the backup, or writing its manifest, is tried again."`
	Error             *Failure          `json:"error,omitempty" doc:"Why the backup failed, or why a step of it is tried again."`
	ManifestKey       string            `json:"manifestKey,omitempty" doc:"The key of the backup's manifest in the store. It is set once the backup is done."`
	Hold              *Hold             `json:"hold,omitempty" doc:"The legal hold that keeps the backup from being deleted. It is left out if there is none."`
	Verifying         bool              `json:"verifying,omitempty" doc:"Whether a verification is under way."`
	VerifiedAt        *time.Time        `json:"verifiedAt,omitempty" doc:"When a verification last found nothing wrong."`
	CorruptAt         *time.Time        `json:"corruptAt,omitempty" doc:"When a verification last found damage. It is removed when a later verification that reads everything finds none."`
	Verification      *Verification     `json:"verification,omitempty" doc:"What the last verification found."`
}

// Backup is a backup with its exports.
type Backup struct {
	BackupSummary
	Progress Progress `json:"progress"`
	Tasks    []Task   `json:"tasks" nullable:"false" doc:"The exports, in the order of their providers. There are none before the backup is planned."`
}

// Hold is a legal hold.
type Hold struct {
	Since  time.Time `json:"since"`
	Reason string    `json:"reason,omitempty" example:"case 4711"`
}

// Verification is what a verification found.
type Verification struct {
	FinishedAt time.Time `json:"finishedAt"`
	Sample     float64   `json:"sample" doc:"The share of each export's parts that was read. With 1, everything was read, and the SHA-256 was compared, too." example:"1"`
	Objects    int       `json:"objects" doc:"How many exports were checked." example:"2"`
	Parts      int       `json:"parts" doc:"How many parts were read." example:"16"`
	Bytes      int64     `json:"bytes" doc:"How many bytes were read." example:"134217728"`
	Problems   []Damage  `json:"problems" nullable:"false" doc:"The damage that was found, of each export at most the first ten differences. It is empty if there is none."`
	Error      *Failure  `json:"error,omitempty" doc:"Why the verification has no result, for example because the store couldn't be read or the verification was canceled."`
}

// Damage is a difference between what is stored and the manifest.
type Damage struct {
	Provider string `json:"provider,omitempty" doc:"The provider whose export is damaged. It is left out if the manifest is damaged." example:"site"`
	Object   string `json:"object" doc:"The key in the store of the object that is damaged."`
	Part     *int   `json:"part,omitempty" doc:"The index of the part that is damaged, from 0. It is left out if the damage isn't in one part." example:"3"`
	What     string `json:"what" doc:"What differs: missing, size, size of all parts, CRC64, SHA-256 or manifest." example:"CRC64"`
	Want     string `json:"want" doc:"The value that was expected." example:"a1b2c3d4e5f60718"`
	Got      string `json:"got" doc:"The value that was found." example:"ffb2c3d4e5f60718"`
}

// Progress sums up the tasks of a backup.
type Progress struct {
	Tasks         int    `json:"tasks" doc:"How many exports there are." example:"2"`
	TasksDone     int    `json:"tasksDone" doc:"How many of the exports are done." example:"1"`
	ReceivedBytes int64  `json:"receivedBytes" doc:"How many bytes were read from the sources." example:"75497472"`
	StoredBytes   int64  `json:"storedBytes" doc:"How many bytes are stored so that a crash can't lose them." example:"67108864"`
	TotalBytes    *int64 `json:"totalBytes,omitempty" doc:"The size in bytes of all exports together. It is set once every source has announced its size." example:"134217728"`
}

// Task is one provider's export as the API shows it.
type Task struct {
	Provider      string     `json:"provider" doc:"The provider's name." example:"site"`
	Status        string     `json:"status" enum:"pending,running,done,failed,canceled" example:"running"`
	Attempt       int        `json:"attempt" doc:"The number of the current or next attempt, among those that count towards the limit. Attempts whose worker died and waits that the source asked for don't count, and counting starts again when a resumed attempt gets further." example:"1"`
	NextAttemptAt *time.Time `json:"nextAttemptAt,omitempty" doc:"When the export is tried again."`
	StartedAt     *time.Time `json:"startedAt,omitempty"`
	FinishedAt    *time.Time `json:"finishedAt,omitempty"`
	ReceivedBytes int64      `json:"receivedBytes" example:"75497472"`
	StoredBytes   int64      `json:"storedBytes" example:"67108864"`
	StoredParts   int        `json:"storedParts" doc:"How many parts the stored bytes are in." example:"8"`
	Rate          int64      `json:"rate,omitempty" doc:"How many bytes were received per second, as of the last heartbeat." example:"31457280"`
	ETASeconds    *float64   `json:"etaSeconds,omitempty" doc:"How many seconds it takes to receive the rest of the announced size, at the current rate." example:"42"`
	AnnouncedSize *int64     `json:"announcedSize,omitempty" doc:"The export's size in bytes, as the source announced it." example:"134217728"`
	Size          *int64     `json:"size,omitempty" doc:"The export's size in bytes, once it was read to its proven end."`
	SHA256        string     `json:"sha256,omitempty" doc:"The export's SHA-256, 64 hexadecimal digits."`
	Proof         string     `json:"proof,omitempty" enum:"length,digest,framing,none" doc:"How the end of the source's stream was proven."`
	ContentType   string     `json:"contentType,omitempty" example:"application/x-tar"`
	CapturedFrom  *time.Time `json:"capturedFrom,omitempty" doc:"When reading the export from its source began."`
	CapturedTo    *time.Time `json:"capturedTo,omitempty"`
	Error         *Failure   `json:"error,omitempty" doc:"Why the last attempt failed."`
	Attempts      []Attempt  `json:"attempts" nullable:"false" doc:"The last 100 attempts that have ended, in order."`
}

// Attempt is one attempt at an export that has ended.
type Attempt struct {
	N             int       `json:"n" doc:"The number of the attempt, from 1. All attempts count, whatever their outcome." example:"1"`
	Worker        string    `json:"worker" example:"host-1-4242-1a2b3c4d"`
	StartedAt     time.Time `json:"startedAt"`
	EndedAt       time.Time `json:"endedAt"`
	Outcome       string    `json:"outcome" enum:"done,failed,handed,lost,canceled" doc:"How the attempt ended. handed: its worker was stopped and handed the export over. lost: its worker died." example:"failed"`
	FromByte      int64     `json:"fromByte" doc:"The offset in the export at which the attempt began to read: 0, or the offset that an earlier attempt had reached." example:"0"`
	ReceivedBytes int64     `json:"receivedBytes" doc:"The offset in the export that the attempt reached." example:"75497472"`
	StoredBytes   int64     `json:"storedBytes" doc:"How many of the received bytes were stored so that a crash couldn't lose them." example:"67108864"`
	Error         *Failure  `json:"error,omitempty"`
}

// Failure says what went wrong with a backup or an export.
type Failure struct {
	Class   string `json:"class" doc:"What is done after the failure. permanent: nothing, since trying again can't help. retryable: it is tried again. retry_after: it is tried again when the source said." example:"retryable"`
	Message string `json:"message" example:"source answered 503"`
	Hint    string `json:"hint,omitempty" doc:"What an operator may look at."`
}

// view shows a backup with its tasks.
func view(b *backup.Backup) *Backup {
	v := &Backup{BackupSummary: summary(b), Tasks: make([]Task, len(b.Tasks))}
	for i, t := range b.Tasks {
		v.Tasks[i] = viewTask(t)
	}
	v.Progress = progress(v.Tasks)
	return v
}

// summary shows a backup. What is sealing is still running for those who wait.
func summary(b *backup.Backup) BackupSummary {
	v := BackupSummary{
		ID: b.ID, UserID: b.UserID, SiteID: b.SiteID, Status: string(b.State), Providers: b.Providers,
		Labels: b.Labels, ContinueOnFailure: b.ContinueOnFailure, SizeLimit: b.MaxSize,
		ScheduleID: b.ScheduleID, Slot: utc(b.Slot), CreatedAt: b.CreatedAt.UTC(), StartedAt: utc(b.StartedAt), FinishedAt: utc(b.FinishedAt),
		CancelRequestedAt: utc(b.CancelRequestedAt), NextAttemptAt: utc(b.NextAttemptAt),
		Error: viewFailure(b.Failure), ManifestKey: b.ManifestKey,
		Verifying: b.Verifying(), VerifiedAt: utc(b.VerifiedAt), CorruptAt: utc(b.CorruptAt), Verification: viewVerification(b.Verification),
	}
	if b.State == backup.StateSealing {
		v.Status = string(backup.StateRunning)
	}
	if b.HeldAt != nil {
		v.Hold = &Hold{Since: b.HeldAt.UTC(), Reason: b.HoldReason}
	}
	return v
}

func viewVerification(found *backup.Verification) *Verification {
	if found == nil {
		return nil
	}
	v := &Verification{
		FinishedAt: found.FinishedAt.UTC(), Sample: found.Sample, Objects: found.Objects, Parts: found.Parts, Bytes: found.Bytes,
		Problems: make([]Damage, len(found.Problems)), Error: viewFailure(found.Failure),
	}
	for i, p := range found.Problems {
		v.Problems[i] = Damage{Provider: p.Provider, Object: p.Key, Part: p.Part, What: p.What, Want: p.Want, Got: p.Got}
	}
	return v
}

func viewTask(t *backup.Task) Task {
	v := Task{
		Provider: t.Provider, Status: string(t.State), Attempt: t.Attempt, NextAttemptAt: utc(t.NextAttemptAt),
		StartedAt: utc(t.StartedAt), FinishedAt: utc(t.FinishedAt),
		ReceivedBytes: t.ReceivedBytes, StoredBytes: t.StoredBytes, StoredParts: t.StoredParts, AnnouncedSize: t.AnnouncedSize,
		SHA256: hex.EncodeToString(t.SHA256), Proof: string(t.Proof), ContentType: t.ContentType,
		CapturedFrom: utc(t.CaptureStartedAt), CapturedTo: utc(t.CaptureFinishedAt), Error: viewFailure(t.Failure),
		Rate: t.Rate, Attempts: make([]Attempt, len(t.Attempts)),
	}
	if eta := t.ETA(); eta != nil {
		seconds := eta.Seconds()
		v.ETASeconds = &seconds
	}
	for i, a := range t.Attempts {
		v.Attempts[i] = Attempt{
			N: a.N, Worker: a.Worker, StartedAt: a.StartedAt.UTC(), EndedAt: a.EndedAt.UTC(), Outcome: string(a.Outcome),
			FromByte: a.FromByte, ReceivedBytes: a.ReceivedBytes, StoredBytes: a.StoredBytes, Error: viewFailure(a.Failure),
		}
	}
	if t.State == backup.TaskCommitting {
		v.Status = string(backup.TaskRunning)
	}
	if t.SHA256 != nil {
		v.Size = &t.Size
	}
	return v
}

func progress(tasks []Task) Progress {
	p := Progress{Tasks: len(tasks)}
	var total int64
	known := len(tasks) > 0
	for i := range tasks {
		t := &tasks[i]
		p.ReceivedBytes += t.ReceivedBytes
		p.StoredBytes += t.StoredBytes
		if t.Status == string(backup.TaskDone) {
			p.TasksDone++
		}
		switch {
		case t.Size != nil:
			total += *t.Size
		case t.AnnouncedSize != nil:
			total += *t.AnnouncedSize
		default:
			known = false
		}
	}
	if known {
		p.TotalBytes = &total
	}
	return p
}

func viewFailure(f *backup.Failure) *Failure {
	if f == nil {
		return nil
	}
	return &Failure{Class: string(f.Class), Message: f.Message, Hint: f.Hint}
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
