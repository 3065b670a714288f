package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sitebackup/sitebackup/backup"
)

// StartRequest is the body of POST /backup.
type StartRequest struct {
	UserID            string            `json:"userId" doc:"The user whose site it is: 1 to 200 bytes when percent-encoded, without control characters." minLength:"1" maxLength:"200" example:"658683afc91423af04d82152"`
	SiteID            string            `json:"siteId" doc:"The site, under the same rule as userId." minLength:"1" maxLength:"200" example:"658683afc91423af04d82153"`
	Providers         []string          `json:"providers,omitempty" doc:"The providers whose exports are made. Defaults to all that are configured." example:"[\"site\",\"db\"]"`
	Labels            map[string]string `json:"labels,omitempty" doc:"The caller's own labels: at most 32, with keys of 1 to 63 bytes and values of at most 255 bytes." example:"{\"reason\":\"before upgrade\"}"`
	ContinueOnFailure bool              `json:"continueOnFailure,omitempty" doc:"Keep the other exports running when one fails for good. The backup fails in either case."`
	SizeLimit         int64             `json:"sizeLimit,omitempty" doc:"The most bytes that all exports of the backup together may have. With 0, or with more than the server's own limit, the server's limit applies." minimum:"0" example:"107374182400"`
	IfActive          string            `json:"ifActive,omitempty" enum:"start,join,reject" default:"start" doc:"What to do if the site has a backup that hasn't ended: start another one, join it (the answer is that backup), or reject this request (409, backup_active). Only backups count that were started with join or reject themselves and haven't been retried since."`
}

// startInput reads the body itself, so that every answer to a bad one is ours
// whatever the host has made of huma's global settings.
type startInput struct {
	params   backup.StartParams
	location func(id string) string
	err      error
}

// Resolve reads the request's body.
func (in *startInput) Resolve(ctx huma.Context) []error {
	in.location = func(id string) string { return below(ctx, id) }
	data, err := readJSON(ctx)
	if err == nil {
		in.params, err = decodeStart(data)
	}
	if err == nil {
		in.params.IdempotencyKey, err = idempotencyKey(ctx)
	}
	in.err = err
	return nil
}

type startOutput struct {
	Location     string `header:"Location" doc:"The path of the backup."`
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         *Backup
}

func (a *api) registerStart(to huma.API) {
	body := &huma.RequestBody{Required: true}
	huma.Register(to, a.operation(to, ScopeWrite, huma.Operation{
		OperationID: "startBackup",
		Method:      http.MethodPost,
		Path:        "/backup",
		Tags:        []string{tag},
		Summary:     "Start a backup",
		Description: "The answer comes once the request is stored; the backup is then made in the background. " +
			"Every request starts a backup, unless its Idempotency-Key was used before, or it joins a backup (see ifActive). " +
			"For a user or site that the credential doesn't cover, the answer is 403, whether or not they exist.",
		DefaultStatus: http.StatusAccepted,
		RequestBody:   body,
		Parameters:    []*huma.Param{idempotencyParam()},
	}, append([]Code{CodeBackupActive, CodeKeyReused, CodeErasing}, bodyFailures...)...), a.start)
	documentBody[StartRequest](to, body)
}

func (a *api) start(ctx context.Context, in *startInput) (*startOutput, error) {
	if in.err != nil {
		return nil, a.problemOf(ctx, in.err)
	}
	// A request that asks for what isn't the caller's is refused before anything is
	// looked at, so that the answer tells nothing of what there is.
	if !CallerOf(ctx).Scope.Allows(in.params.UserID, in.params.SiteID) {
		return nil, a.problemOf(ctx, a.guard.forbidden(0, "This credential is not for this user and site."))
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	in.params.IdempotencyScope = keyScope(CallerOf(ctx))
	b, err := a.client.Start(ctx, in.params)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return &startOutput{Location: in.location(b.ID), CacheControl: "no-store", Body: view(b)}, nil
}
