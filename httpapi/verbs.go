package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sitebackup/sitebackup/backup"
)

// idInput names a backup.
type idInput struct {
	// Any string, so that an id that can't be one is not found like others.
	ID string `path:"id" doc:"The backup's id." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
}

type backupOutput struct {
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         *Backup
}

// verb is one of [backup.Client] that changes a backup.
type verb func(ctx context.Context, id string) (*backup.Backup, error)

// change does do to the backup, if the caller may see it.
func (a *api) change(ctx context.Context, id string, do verb) (*backupOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	b, err := a.find(ctx, id)
	if err == nil {
		b, err = do(ctx, b.ID)
	}
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return &backupOutput{CacheControl: "no-store", Body: view(b)}, nil
}

// registerVerbs adds the operations that need no more than an id. What they ask
// for goes on behind the answer, so that it is 202.
func (a *api) registerVerbs(to huma.API) {
	a.registerVerb(to, a.client.Cancel, huma.Operation{
		OperationID: "cancelBackup", Method: http.MethodPost, Path: "/backup/{id}/cancel",
		Summary: "Cancel a backup",
		Description: "The exports that haven't ended are canceled, too. An export that is being committed ends first; until then cancelRequestedAt is set. " +
			"Canceling a canceled backup changes nothing. A backup that is done or failed, or whose manifest is being written, can't be canceled.",
	}, CodeStateConflict)
	a.registerVerb(to, a.client.Retry, huma.Operation{
		OperationID: "retryBackup", Method: http.MethodPost, Path: "/backup/{id}/retry",
		Summary: "Run a failed or canceled backup again",
		Description: "Exports that are done are kept, unless they are too old to match the others in time. The other exports resume where they were, if their sources allow it. " +
			"A backup that neither failed nor was canceled can't be retried.",
	}, CodeStateConflict, CodeErasing)
	a.registerVerb(to, a.client.Delete, huma.Operation{
		OperationID: "deleteBackup", Method: http.MethodDelete, Path: "/backup/{id}",
		Summary: "Delete a backup",
		Description: "The manifest, the exports and then all records of the backup are removed. Its status is deleting until then; afterwards it is not found. This can't be undone. " +
			"A backup that hasn't ended has to be canceled first, and one under a legal hold has to be released. Deleting a backup that is being deleted changes nothing.",
	}, CodeStateConflict, CodeHeld)
}

func (a *api) registerVerb(to huma.API, do verb, op huma.Operation, failures ...Code) {
	op.Tags, op.DefaultStatus = []string{tag}, http.StatusAccepted
	huma.Register(to, a.operation(to, ScopeWrite, op, append(failures, CodeNotFound)...), func(ctx context.Context, in *idInput) (*backupOutput, error) {
		return a.change(ctx, in.ID, do)
	})
}
