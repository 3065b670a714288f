package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/rivertype"
)

// EventName says what an event announces.
type EventName string

// The events.
const (
	EventUploadJobCreated EventName = "UploadJobCreated" // a backup was asked for
	EventUpdateBackup     EventName = "UpdateUploadJob"  // a backup's state changed
	EventUpdateTask       EventName = "UpdateTask"       // a task's state changed
	EventUpdatePartTask   EventName = "UpdatePartTask"   // parts were stored; at most one a second per task
)

// Event is one change of a backup or its tasks. It was written in the
// transaction that made the change.
type Event struct {
	BackupID  string
	Seq       int64 // from 1, without gaps within the backup
	Name      EventName
	Provider  string          // of a task's event
	Data      json.RawMessage // a JSON object; it has "state" in it
	CreatedAt time.Time
}

// EventSeq is the Seq of the last event that the backup had when it was read.
func (b *Backup) EventSeq() int64 { return b.eventSeq }

// Events lists up to limit (1 to 1,000) events of a backup whose Seq is greater
// than after, in order. Of a backup that has ended long ago (Keep.Details) only the last
// is left.
func (c *Client) Events(ctx context.Context, id string, after int64, limit int) ([]Event, error) {
	if !validID(id) {
		return nil, ErrNotFound
	}
	if c.cfg.Pool == nil {
		return nil, errNoPool
	}
	limit = min(max(limit, 1), 1000)
	rows, err := c.cfg.Pool.Query(ctx, c.sql(`
		SELECT backup_id::text, seq, name, coalesce(provider, ''), data, created_at FROM {{schema}}.backup_event
		WHERE backup_id = @id AND seq > @after ORDER BY seq LIMIT @limit`),
		named{"id": id, "after": after, "limit": limit})
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Event])
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return events, nil
}

type event struct {
	name     EventName
	provider string
	data     any
}

func (ch *change) emit(name EventName, provider string, data any) {
	ch.events = append(ch.events, event{name, provider, data})
}

// backupData is the data of a backup's events.
type backupData struct {
	State   State    `json:"state"`
	UserID  string   `json:"userId,omitempty"`
	SiteID  string   `json:"siteId,omitempty"`
	Failure *Failure `json:"error,omitempty"`
}

// taskData is the data of a task's events.
type taskData struct {
	State         TaskState  `json:"state"`
	Attempt       int        `json:"attempt,omitempty"`
	NextAttemptAt *time.Time `json:"nextAttemptAt,omitempty"`
	ReceivedBytes int64      `json:"receivedBytes"`
	StoredBytes   int64      `json:"storedBytes"`
	StoredParts   int        `json:"storedParts"`
	AnnouncedSize *int64     `json:"announcedSize,omitempty"`
	Rate          int64      `json:"rate,omitempty"`       // bytes a second
	ETA           *float64   `json:"etaSeconds,omitempty"` // until the announced size will have arrived
	Proof         Proof      `json:"proof,omitempty"`
	Failure       *Failure   `json:"error,omitempty"`
}

func (ch *change) emitTask(t *Task) { ch.emit(EventUpdateTask, t.Provider, dataOf(t)) }

func dataOf(t *Task) taskData {
	next := t.NextAttemptAt
	if next != nil {
		utc := next.UTC()
		next = &utc
	}
	var eta *float64
	if d := t.ETA(); d != nil {
		s := d.Seconds()
		eta = &s
	}
	return taskData{
		Rate: t.Rate, ETA: eta,
		State: t.State, Attempt: t.Attempt, NextAttemptAt: next,
		ReceivedBytes: t.ReceivedBytes, StoredBytes: t.StoredBytes, StoredParts: t.StoredParts,
		AnnouncedSize: t.AnnouncedSize, Proof: t.Proof, Failure: t.Failure,
	}
}

// MarshalJSON gives the failure the shape that the HTTP API shows.
func (f *Failure) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Class   Class  `json:"class"`
		Message string `json:"message"`
		Hint    string `json:"hint,omitempty"`
	}{f.Class, f.Message, f.Hint})
}

func isNotFoundJob(err error) bool { return errors.Is(err, rivertype.ErrNotFound) }
