package httpapi

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sitebackup/sitebackup/backup"
)

// HoldRequest is the body of POST /backup/{id}/hold.
type HoldRequest struct {
	Reason string `json:"reason,omitempty" doc:"Why the backup is held, for people: at most 500 bytes without control characters." maxLength:"500" example:"case 4711"`
}

type holdInput struct {
	ID     string `path:"id" doc:"The backup's id." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	reason string
	err    error
}

// Resolve reads the request's body.
func (in *holdInput) Resolve(ctx huma.Context) []error {
	in.err = decodeOptional(ctx, func(o *object) { o.optional("reason", &in.reason, "must be a string") })
	return nil
}

// decodeOptional reads a body that may be missing.
func decodeOptional(ctx huma.Context, read func(*object)) error {
	data, err := readOptionalJSON(ctx)
	if err != nil {
		return err
	}
	o, err := readObject(data)
	if err != nil {
		return err
	}
	read(o)
	return o.end()
}

func (a *api) registerHold(to huma.API) {
	body := &huma.RequestBody{}
	huma.Register(to, a.operation(to, ScopeAdmin, huma.Operation{
		OperationID: "holdBackup", Method: http.MethodPost, Path: "/backup/{id}/hold", Tags: []string{tag},
		Summary: "Put a legal hold on a backup",
		Description: "The backup can't be deleted until the hold is released, whatever its status. Holding it again changes the reason. " +
			"A backup that is being deleted can't be held.",
		RequestBody: body,
	}, append([]Code{CodeNotFound, CodeStateConflict, CodeErasing}, bodyFailures...)...), a.hold)
	documentBody[HoldRequest](to, body)
	huma.Register(to, a.operation(to, ScopeAdmin, huma.Operation{
		OperationID: "releaseBackup", Method: http.MethodPost, Path: "/backup/{id}/release", Tags: []string{tag},
		Summary:     "End the legal hold on a backup",
		Description: "Releasing a backup that isn't held changes nothing.",
	}, CodeNotFound), func(ctx context.Context, in *idInput) (*backupOutput, error) {
		return a.change(ctx, in.ID, a.client.Release)
	})
}

// documentBody says what the body of an operation is that was registered without
// one: huma would read a body that it knows of.
func documentBody[T any](to huma.API, body *huma.RequestBody) {
	t := reflect.TypeFor[T]()
	schema := to.OpenAPI().Components.Schemas.Schema(t, true, t.Name())
	body.Content = map[string]*huma.MediaType{jsonContentType: {Schema: schema}}
}

func (a *api) hold(ctx context.Context, in *holdInput) (*backupOutput, error) {
	if in.err != nil {
		return nil, a.problemOf(ctx, in.err)
	}
	return a.change(ctx, in.ID, func(ctx context.Context, id string) (*backup.Backup, error) {
		return a.client.Hold(ctx, id, in.reason)
	})
}
