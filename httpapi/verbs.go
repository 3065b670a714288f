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
		Description: "Its exports are canceled, too. One that is being committed ends first; until then the backup has cancelRequestedAt. " +
			"To cancel a canceled backup changes nothing. One that is done or failed, or whose manifest is being written, can't be canceled.",
	}, CodeStateConflict)
	a.registerVerb(to, a.client.Retry, huma.Operation{
		OperationID: "retryBackup", Method: http.MethodPost, Path: "/backup/{id}/retry",
		Summary: "Run a failed or canceled backup again",
		Description: "Exports that are done are kept, unless they are too old to be of one time with the others; each of the others goes on where it was, if its source allows. " +
			"A backup that neither failed nor was canceled can't be retried.",
	}, CodeStateConflict, CodeErasing)
	a.registerVerb(to, a.client.Delete, huma.Operation{
		OperationID: "deleteBackup", Method: http.MethodDelete, Path: "/backup/{id}",
		Summary: "Delete a backup",
		Description: "Its manifest, its exports and then all that is known of it are removed: it is in status deleting until then, and not found afterwards. There is no way back. " +
			"One that hasn't ended has to be canceled first, and one under a legal hold released. To delete one that is being deleted changes nothing.",
	}, CodeStateConflict, CodeHeld)
}

func (a *api) registerVerb(to huma.API, do verb, op huma.Operation, failures ...Code) {
	op.Tags, op.DefaultStatus = []string{tag}, http.StatusAccepted
	huma.Register(to, a.operation(to, ScopeWrite, op, append(failures, CodeNotFound)...), func(ctx context.Context, in *idInput) (*backupOutput, error) {
		return a.change(ctx, in.ID, do)
	})
}
