package httpapi

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sitebackup/sitebackup/backup"
)

const scheduleExample = "019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"

func (a *api) registerSchedules(to huma.API) {
	a.registerScheduleChanges(to)
	a.registerScheduleVerbs(to)
	a.registerScheduleReads(to)
	a.registerScheduleSlots(to)
}

// scheduleOutput is an answer with one schedule, or with none of it.
type scheduleOutput struct {
	Status       int
	Location     string `header:"Location" hidden:"true"`
	ETag         string `header:"ETag" hidden:"true"`
	CacheControl string `header:"Cache-Control" hidden:"true"`
	ContentType  string `header:"Content-Type" hidden:"true"`
	Body         []byte
}

func answerSchedule(status int, s *backup.Schedule) (*scheduleOutput, error) {
	body, hash, err := encode(viewSchedule(s))
	if err != nil {
		return nil, err
	}
	return &scheduleOutput{Status: status, ETag: scheduleTagOf(s.Version, hash), CacheControl: "no-store", ContentType: jsonContentType, Body: body}, nil
}

// scheduleTagOf puts the version before the hash: what else is in the answer changes by
// itself, which is no reason to refuse a change of the settings.
func scheduleTagOf(version int64, hash string) string {
	return `"` + strconv.FormatInt(version, 10) + "." + strings.Trim(hash, `"`) + `"`
}

// versionIn is the version that a change must find: that of the schedule as it is, if
// one of the lines of the header If-Match has it, and 0 for any (RFC 9110, section
// 13.1.1). A header that is there and empty has none: a tag that was lost on the way
// must not let any change through.
func versionIn(ifMatch []string, s *backup.Schedule) (int64, error) {
	if len(ifMatch) == 0 {
		return 0, nil
	}
	for tag := range strings.SplitSeq(strings.Join(ifMatch, ","), ",") { // ours have no comma
		tag = strings.TrimSpace(tag)
		if tag == "*" {
			return 0, nil
		}
		version, hash, ok := strings.Cut(tag, ".") // a weak tag never matches
		if ok && strings.HasSuffix(hash, `"`) && version == `"`+strconv.FormatInt(s.Version, 10) {
			return s.Version, nil
		}
	}
	return 0, &backup.VersionError{Version: s.Version}
}

// findSchedule is the schedule of that id, if the caller of ctx may see it. Whose it is
// never changes.
func (a *api) findSchedule(ctx context.Context, id string) (*backup.Schedule, error) {
	s, err := a.client.GetSchedule(ctx, id)
	if err == nil && !CallerOf(ctx).Scope.Allows(s.UserID, s.SiteID) {
		err = backup.ErrScheduleNotFound
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// scheduleResponse documents an answer with one schedule.
func scheduleResponse(to huma.API, description string, more ...string) *huma.Response {
	schema := to.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Schedule](), true, "Schedule")
	headers := map[string]*huma.Param{"ETag": {Description: "A validator that changes with the body. When it is sent as If-Match, only the version of the settings in it counts.", Schema: text()}}
	for _, name := range more {
		headers[name] = &huma.Param{Description: "The path of the schedule.", Schema: text()}
	}
	return &huma.Response{Description: description, Headers: headers, Content: map[string]*huma.MediaType{jsonContentType: {Schema: schema}}}
}

type scheduleIDInput struct {
	// Any string, so that an id that can't be one is not found like others.
	ID string `path:"id" doc:"The schedule's id." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
}

func (a *api) registerScheduleVerbs(to huma.API) {
	for _, verb := range []struct {
		name, summary, description string
		paused                     bool
	}{
		{"pause", "Pause a schedule", "Its slots are skipped from now on, and recorded so. To pause a paused one changes nothing. One of the server's configuration file is paused until a server starts again.", true},
		{"resume", "End a schedule's pause", "It goes on with the next slot. To resume one that isn't paused changes nothing.", false},
	} {
		huma.Register(to, a.operation(to, ScopeWrite, huma.Operation{
			OperationID: verb.name + "Schedule", Method: http.MethodPost, Path: "/schedule/{id}/" + verb.name, Tags: []string{scheduleTag},
			Summary: verb.summary, Description: verb.description,
			Responses: map[string]*huma.Response{"200": scheduleResponse(to, "The schedule.")},
		}, CodeNotFound, CodeValidationFailed), func(ctx context.Context, in *scheduleIDInput) (*scheduleOutput, error) {
			return a.changeSchedule(ctx, http.StatusOK, func(ctx context.Context) (*backup.Schedule, error) {
				s, err := a.findSchedule(ctx, in.ID)
				if err == nil {
					_, err = a.client.PauseSchedule(ctx, s.ID, verb.paused)
					err = inSchedule(err)
				}
				if err != nil {
					return nil, err
				}
				return a.client.GetSchedule(ctx, s.ID)
			})
		})
	}
	a.registerRunSchedule(to)
}

// changeSchedule answers with what do has made of a schedule.
func (a *api) changeSchedule(ctx context.Context, status int, do func(context.Context) (*backup.Schedule, error)) (*scheduleOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	s, err := do(ctx)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	out, err := answerSchedule(status, s)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return out, nil
}

// inSchedule says of a bad value that it is one of the schedule's settings, such as a
// provider that isn't configured any more.
func inSchedule(err error) error {
	var field *backup.FieldError
	if errors.As(err, &field) {
		return validationProblem(FieldError{"schedule." + field.Field, field.Rule})
	}
	return err
}

type runScheduleInput struct {
	ID       string `path:"id" doc:"The schedule's id." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	key      string
	location func(id string) string
	err      error
}

// Resolve reads the request's idempotency key.
func (in *runScheduleInput) Resolve(ctx huma.Context) []error {
	in.location = func(id string) string { return beside(ctx, 3, "backup/"+id) } // /schedule/{id}/run
	in.key, in.err = idempotencyKey(ctx)
	return nil
}

func (a *api) registerRunSchedule(to huma.API) {
	huma.Register(to, a.operation(to, ScopeWrite, huma.Operation{
		OperationID: "runSchedule", Method: http.MethodPost, Path: "/schedule/{id}/run", Tags: []string{scheduleTag}, DefaultStatus: http.StatusAccepted,
		Summary: "Start a backup of a schedule now",
		Description: "The backup is started out of turn, whatever the schedule's slots, overlap policy and pause say. It counts as one of the schedule's backups, and has no slot. " +
			"An Idempotency-Key belongs to the schedule's current settings: once they have changed, the same key is refused.",
		Parameters: []*huma.Param{idempotencyParam()},
	}, CodeNotFound, CodeKeyReused, CodeErasing, CodeValidationFailed), func(ctx context.Context, in *runScheduleInput) (*startOutput, error) {
		if in.err != nil {
			return nil, a.problemOf(ctx, in.err)
		}
		ctx, cancel := context.WithTimeout(ctx, a.timeout)
		defer cancel()
		s, err := a.findSchedule(ctx, in.ID)
		var b *backup.Backup
		if err == nil {
			b, err = a.client.RunSchedule(ctx, s.ID, backup.StartParams{IdempotencyKey: in.key, IdempotencyScope: keyScope(CallerOf(ctx))})
			err = inSchedule(err)
		}
		if err != nil {
			return nil, a.problemOf(ctx, err)
		}
		return &startOutput{Location: in.location(b.ID), CacheControl: "no-store", Body: view(b)}, nil
	})
}
