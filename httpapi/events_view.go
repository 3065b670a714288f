package httpapi

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sitebackup/sitebackup/backup"
)

// endMessage is the name of the message that ends an event stream.
const endMessage = "end"

// BackupEvent is a change of a backup.
type BackupEvent struct {
	Seq       int64     `json:"seq" doc:"The number of the event within the backup, from 1 and without gaps. It is also the id of the message." example:"12"`
	Name      string    `json:"name" doc:"What happened. It is also the name of the message. New names may be added." example:"UpdateUploadJob"`
	BackupID  string    `json:"backupId" format:"uuid" example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	CreatedAt time.Time `json:"createdAt" doc:"When the event was written."`
	Status    string    `json:"status,omitempty" enum:"pending,running,done,failed,canceled,deleting" doc:"The backup's status as of this event." example:"running"`
	UserID    string    `json:"userId,omitempty" doc:"The user whose site is backed up. It is set in the first event only."`
	SiteID    string    `json:"siteId,omitempty" doc:"The site that is backed up. It is set in the first event only."`
	Error     *Failure  `json:"error,omitempty" doc:"Why the backup failed, or why a step of it is tried again."`
	_         struct{}  `additionalProperties:"true"`
}

// TaskEvent is a change of one of a backup's exports.
type TaskEvent struct {
	Seq           int64      `json:"seq" doc:"The number of the event within the backup, from 1 and without gaps. It is also the id of the message." example:"13"`
	Name          string     `json:"name" doc:"What happened. It is also the name of the message. New names may be added." example:"UpdatePartTask"`
	BackupID      string     `json:"backupId" format:"uuid" example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	Provider      string     `json:"provider" doc:"The provider whose export the event is about." example:"site"`
	CreatedAt     time.Time  `json:"createdAt" doc:"When the event was written."`
	Status        string     `json:"status,omitempty" enum:"pending,running,done,failed,canceled" doc:"The export's status as of this event." example:"running"`
	Attempt       int        `json:"attempt,omitempty" example:"1"`
	NextAttemptAt *time.Time `json:"nextAttemptAt,omitempty" doc:"When the export is tried again."`
	ReceivedBytes int64      `json:"receivedBytes" example:"75497472"`
	StoredBytes   int64      `json:"storedBytes" example:"67108864"`
	StoredParts   int        `json:"storedParts" example:"8"`
	AnnouncedSize *int64     `json:"announcedSize,omitempty" doc:"The export's size in bytes, as the source announced it." example:"134217728"`
	Rate          int64      `json:"rate,omitempty" doc:"How many bytes were received per second." example:"31457280"`
	ETASeconds    *float64   `json:"etaSeconds,omitempty" doc:"How many seconds it takes to receive the rest of the announced size, at the current rate." example:"2"`
	Proof         string     `json:"proof,omitempty" enum:"length,digest,framing,none" doc:"How the end of the source's stream was proven."`
	Error         *Failure   `json:"error,omitempty" doc:"Why the last attempt failed."`
	_             struct{}   `additionalProperties:"true"`
}

// StreamEnd is the last message of a stream whose backup has ended.
type StreamEnd struct {
	Status      string `json:"status" enum:"done,failed,canceled,deleting,deleted" doc:"The backup's status, or deleted." example:"done"`
	LastEventID int64  `json:"lastEventId" doc:"The id of the last event." example:"14"`
}

// viewEvent is what a client sees of an event: its data, with what it is about
// around them, and the state as the API shows it. Members that this version doesn't
// know are passed on.
func viewEvent(e *backup.Event) ([]byte, error) {
	shown := make(map[string]any)
	var data map[string]json.RawMessage
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return nil, fmt.Errorf("decode event %d: %w", e.Seq, err)
	}
	for name, value := range data {
		shown[name] = value
	}
	delete(shown, "state")
	if state, ok := data["state"]; ok {
		var s backup.State
		_ = json.Unmarshal(state, &s) // one that is no string is no state
		shown["status"] = shownState(s)
	}
	shown["seq"], shown["name"], shown["backupId"], shown["createdAt"] = e.Seq, e.Name, e.BackupID, e.CreatedAt.UTC()
	if e.Provider != "" {
		shown["provider"] = e.Provider
	}
	raw, err := json.Marshal(shown)
	if err != nil {
		return nil, fmt.Errorf("encode event %d: %w", e.Seq, err)
	}
	return raw, nil
}

// stateOf is the backup's state after the event, or "" if the event doesn't change
// it.
func stateOf(e *backup.Event) backup.State {
	if e.Name != backup.EventUpdateBackup {
		return ""
	}
	var data struct {
		State backup.State `json:"state"`
	}
	_ = json.Unmarshal(e.Data, &data) // it was decoded before
	return data.State
}

// shownState is a state as the API shows it. What is sealing or committing is still
// running for those who wait.
func shownState(s backup.State) string {
	if s == backup.StateSealing || string(s) == string(backup.TaskCommitting) {
		return string(backup.StateRunning)
	}
	return string(s)
}

// eventStreamSchema describes the messages: server-sent events have no schema of
// their own in OpenAPI 3.1, so each is an object of its fields.
func eventStreamSchema(to huma.API) *huma.Schema {
	schemas := to.OpenAPI().Components.Schemas
	message := func(title string, data reflect.Type, event *huma.Schema, required ...string) *huma.Schema {
		return &huma.Schema{
			Title: title, Type: huma.TypeObject, Required: append([]string{"event", "data"}, required...),
			Properties: map[string]*huma.Schema{
				"id":    {Type: huma.TypeInteger, Description: "The event's number within the backup."},
				"event": event,
				"data":  schemas.Schema(data, true, data.Name()),
				"retry": {Type: huma.TypeInteger, Description: "Milliseconds to wait before reconnecting."},
			},
		}
	}
	name := func(names ...backup.EventName) *huma.Schema {
		s := &huma.Schema{Type: huma.TypeString}
		for _, n := range names {
			s.Enum = append(s.Enum, string(n))
		}
		return s
	}
	return &huma.Schema{
		Title: "Server-sent events", Type: huma.TypeArray,
		Description: "Each item stands for one message of the stream, in the text form of server-sent events; the data are JSON.",
		Items: &huma.Schema{OneOf: []*huma.Schema{
			message("A change of the backup", reflect.TypeFor[BackupEvent](), name(backup.EventUploadJobCreated, backup.EventUpdateBackup), "id"),
			message("A change of an export", reflect.TypeFor[TaskEvent](), name(backup.EventUpdateTask, backup.EventUpdatePartTask), "id"),
			message("The end of the stream", reflect.TypeFor[StreamEnd](), name(endMessage)),
		}},
	}
}
