package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type getInput struct {
	// Any string, so that an id that can't be one is not found like others.
	ID string `path:"id" doc:"The backup's id." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
}

type getOutput struct {
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         *Backup
}

func (a *api) registerGet(to huma.API) {
	huma.Register(to, a.operation(to, ScopeRead, huma.Operation{
		OperationID: "getBackup",
		Method:      http.MethodGet,
		Path:        "/backup/{id}",
		Tags:        []string{tag},
		Summary:     "Tell how a backup stands",
		Description: "A backup is done only when every byte of each export was proven to be in the store, and the manifest beside them.",
	}, CodeNotFound), a.get)
}

func (a *api) get(ctx context.Context, in *getInput) (*getOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	b, err := a.client.Get(ctx, in.ID)
	if err == nil {
		err = visible(ctx, b)
	}
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return &getOutput{CacheControl: "no-store", Body: view(b)}, nil
}
