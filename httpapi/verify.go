package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sitebackup/sitebackup/backup"
)

// VerifyRequest is the body of POST /backup/{id}/verify.
type VerifyRequest struct {
	Sample float64 `json:"sample,omitempty" doc:"The share of each export's parts to read, drawn at random: more than 0 and at most 1. With 1, everything is read and the SHA-256 is compared, too." exclusiveMinimum:"0" maximum:"1" default:"1" example:"0.1"`
}

type verifyInput struct {
	ID     string `path:"id" doc:"The backup's id." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	params backup.VerifyParams
	err    error
}

// Resolve reads the request's body.
func (in *verifyInput) Resolve(ctx huma.Context) []error {
	in.params.Sample = 1
	in.err = decodeOptional(ctx, func(o *object) {
		o.optional("sample", &in.params.Sample, "must be a number")
		if !(in.params.Sample > 0 && in.params.Sample <= 1) {
			o.fail("sample", "must be more than 0 and at most 1")
		}
	})
	return nil
}

func (a *api) registerVerify(to huma.API) {
	body := &huma.RequestBody{}
	huma.Register(to, a.operation(to, ScopeWrite, huma.Operation{
		OperationID: "verifyBackup", Method: http.MethodPost, Path: "/backup/{id}/verify", Tags: []string{tag}, DefaultStatus: http.StatusAccepted,
		Summary: "Verify the stored copy of a backup that is done",
		Description: "What is stored is read and compared with the manifest: lengths, the CRC-64 of each part, and the SHA-256 of each export. Meanwhile the member verifying is true. " +
			"Afterwards the member verification has the result: verifiedAt is set if nothing is wrong, and otherwise corruptAt, with the provider and part of the damage. Requesting a verification that is already under way changes nothing; one with another sample replaces it.",
		RequestBody: body,
	}, append([]Code{CodeNotFound, CodeStateConflict}, bodyFailures...)...), func(ctx context.Context, in *verifyInput) (*backupOutput, error) {
		if in.err != nil {
			return nil, a.problemOf(ctx, in.err)
		}
		return a.change(ctx, in.ID, func(ctx context.Context, id string) (*backup.Backup, error) {
			return a.client.Verify(ctx, id, in.params)
		})
	})
	documentBody[VerifyRequest](to, body)
}
