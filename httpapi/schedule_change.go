package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sitebackup/sitebackup/backup"
)

// makeScheduleInput reads the body itself, as startInput does.
type makeScheduleInput struct {
	params   backup.ScheduleParams
	location func(id string) string
	err      error
}

// Resolve reads the request's body.
func (in *makeScheduleInput) Resolve(ctx huma.Context) []error {
	in.location = func(id string) string { return below(ctx, id) }
	data, err := readJSON(ctx)
	if err == nil {
		in.params, err = decodeSchedule(data, false)
	}
	in.params.IfAbsent, in.err = true, err
	return nil
}

type replaceScheduleInput struct {
	ID      string   `path:"id" doc:"The schedule's id." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	IfMatch string   `header:"If-Match" doc:"The ETag of an earlier answer. The schedule is changed only if its settings are still the same; otherwise the answer is 412."`
	ifMatch []string // all its lines
	params  backup.ScheduleParams
	err     error
}

// Resolve reads the request's body.
func (in *replaceScheduleInput) Resolve(ctx huma.Context) []error {
	in.ifMatch = headerLines(ctx, "If-Match")
	data, err := readJSON(ctx)
	if err == nil {
		in.params, err = decodeSchedule(data, true)
	}
	in.err = err
	return nil
}

type deleteScheduleInput struct {
	ID      string   `path:"id" doc:"The schedule's id." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	IfMatch string   `header:"If-Match" doc:"The ETag of an earlier answer. The schedule is deleted only if its settings are still the same; otherwise the answer is 412."`
	ifMatch []string // all its lines
}

// Resolve reads the precondition.
func (in *deleteScheduleInput) Resolve(ctx huma.Context) []error {
	in.ifMatch = headerLines(ctx, "If-Match")
	return nil
}

func (a *api) registerScheduleChanges(to huma.API) {
	made := &huma.RequestBody{Required: true}
	huma.Register(to, a.operation(to, ScopeWrite, huma.Operation{
		OperationID: "createSchedule", Method: http.MethodPost, Path: "/schedule", Tags: []string{scheduleTag},
		Summary: "Create a schedule",
		Description: "Within a site, the name of a schedule is unique. " +
			"For a user or site that the credential doesn't cover, the answer is 403, whether or not they exist.",
		RequestBody: made, DefaultStatus: http.StatusCreated,
		Responses: map[string]*huma.Response{"201": scheduleResponse(to, "The schedule.", "Location")},
	}, append([]Code{CodeScheduleExists, CodeErasing}, bodyFailures...)...), a.createSchedule)
	documentBody[ScheduleRequest](to, made)

	replaced := &huma.RequestBody{Required: true}
	huma.Register(to, a.operation(to, ScopeWrite, huma.Operation{
		OperationID: "replaceSchedule", Method: http.MethodPut, Path: "/schedule/{id}", Tags: []string{scheduleTag},
		Summary: "Replace the settings of a schedule",
		Description: "All settings are replaced: one that is left out gets its default. The user, the site and the name don't change. " +
			"With another cron expression or time zone, the schedule continues after lastSlot. What happens to new slots that have already passed is up to catchUp.",
		RequestBody: replaced,
		Responses:   map[string]*huma.Response{"200": scheduleResponse(to, "The schedule.")},
	}, append([]Code{CodeNotFound, CodeScheduleDeclared, CodePrecondition}, bodyFailures...)...), a.replaceSchedule)
	documentBody[ScheduleSettings](to, replaced)

	huma.Register(to, a.operation(to, ScopeWrite, huma.Operation{
		OperationID: "deleteSchedule", Method: http.MethodDelete, Path: "/schedule/{id}", Tags: []string{scheduleTag}, DefaultStatus: http.StatusNoContent,
		Summary:     "Delete a schedule",
		Description: "The history of its slots is deleted, too. Its backups stay, under the retention policy that the schedule has now or, if it has none, the server's default. A backup that is running goes on.",
	}, CodeNotFound, CodeScheduleDeclared, CodePrecondition), a.deleteSchedule)
}

func (a *api) createSchedule(ctx context.Context, in *makeScheduleInput) (*scheduleOutput, error) {
	if in.err != nil {
		return nil, a.problemOf(ctx, in.err)
	}
	// As for POST /backup: the answer tells nothing of what there is.
	if !CallerOf(ctx).Scope.Allows(in.params.UserID, in.params.SiteID) {
		return nil, a.problemOf(ctx, a.guard.forbidden(0, "This credential is not for this user and site."))
	}
	var id string
	out, err := a.changeSchedule(ctx, http.StatusCreated, func(ctx context.Context) (*backup.Schedule, error) {
		s, err := a.client.PutSchedule(ctx, in.params)
		if err == nil {
			id = s.ID
		}
		return s, err
	})
	if err != nil {
		return nil, err
	}
	out.Location = in.location(id)
	return out, nil
}

func (a *api) replaceSchedule(ctx context.Context, in *replaceScheduleInput) (*scheduleOutput, error) {
	if in.err != nil {
		return nil, a.problemOf(ctx, in.err)
	}
	return a.changeSchedule(ctx, http.StatusOK, func(ctx context.Context) (*backup.Schedule, error) {
		s, err := a.findSchedule(ctx, in.ID)
		if err == nil {
			in.params.IfVersion, err = versionIn(in.ifMatch, s)
		}
		if err != nil {
			return nil, err
		}
		return a.client.ReplaceSchedule(ctx, s.ID, in.params)
	})
}

func (a *api) deleteSchedule(ctx context.Context, in *deleteScheduleInput) (*struct{}, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	s, err := a.findSchedule(ctx, in.ID)
	if err == nil {
		var version int64
		if version, err = versionIn(in.ifMatch, s); err == nil {
			err = a.client.DeleteSchedule(ctx, s.ID, version)
		}
	}
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return nil, nil //nolint:nilnil // there is nothing to say
}
