package httpapi

import (
	"context"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sitebackup/sitebackup/backup"
)

type listSchedulesInput struct {
	values url.Values
	params backup.ListSchedulesParams
	err    error
}

// Resolve reads the request's query.
func (in *listSchedulesInput) Resolve(ctx huma.Context) []error {
	q := readQuery(ctx)
	in.values = q.values
	in.params = backup.ListSchedulesParams{
		UserID: q.one("userId"), SiteID: q.one("siteId"), Name: q.one("name"), Alert: q.flag("alert"),
		After: q.one("cursor"), Limit: q.limit(),
	}
	in.err = q.err()
	return nil
}

// ScheduleList is a page of schedules.
type ScheduleList struct {
	Schedules  []Schedule `json:"schedules" nullable:"false" doc:"The schedules, in the order in which they were created."`
	NextCursor string     `json:"nextCursor,omitempty" doc:"The cursor of the next page. It is left out on the last page." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
}

// pageOutput is a page of a list.
type pageOutput[T any] struct {
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Link         string `header:"Link" doc:"The next page, with rel=\"next\" (RFC 8288), where there is one."`
	Body         T
}

// nextPage is the header Link for the page at the cursor.
func nextPage(query url.Values, cursor string) string {
	query.Set("cursor", cursor)
	return "<?" + query.Encode() + `>; rel="next"`
}

type getScheduleInput struct {
	ID          string `path:"id" doc:"The schedule's id." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	IfNoneMatch string `header:"If-None-Match" doc:"The ETag of an earlier answer. If it is still current, the answer is 304, without a body."`
}

func (a *api) registerScheduleReads(to huma.API) {
	huma.Register(to, a.operation(to, ScopeRead, huma.Operation{
		OperationID: "listSchedules", Method: http.MethodGet, Path: "/schedule", Tags: []string{scheduleTag},
		Summary: "List schedules",
		Description: "The schedules are listed in the order in which they were created. Only those that match all given filters are listed. " +
			"To get all pages, follow nextCursor, or the header Link, until there is none.",
		Parameters: []*huma.Param{
			param("userId", "List only schedules of this user.", text(), "658683afc91423af04d82152"),
			param("siteId", "List only schedules of this site.", text(), "658683afc91423af04d82153"),
			param("name", "List only schedules with this name.", text(), "nightly"),
			param("alert", "List only schedules whose newest good backup is older than maxAge, or that still have an alert for that.", &huma.Schema{Type: huma.TypeBoolean, Default: false}, true),
			limitParam(),
			cursorParam(scheduleExample),
		},
	}, CodeValidationFailed), a.listSchedules)

	shown, same := scheduleResponse(to, "The schedule."), scheduleResponse(to, "The schedule is as in the answer whose ETag was sent.")
	same.Content = nil
	huma.Register(to, a.operation(to, ScopeRead, huma.Operation{
		OperationID: "getSchedule", Method: http.MethodGet, Path: "/schedule/{id}", Tags: []string{scheduleTag},
		Summary:     "Show a schedule",
		Description: "The answer has the schedule's settings, what comes next, and how old its newest good backup is.",
		Responses:   map[string]*huma.Response{"200": shown, "304": same},
	}, CodeNotFound), a.getSchedule)
}

func (a *api) listSchedules(ctx context.Context, in *listSchedulesInput) (*pageOutput[ScheduleList], error) {
	if in.err != nil {
		return nil, a.problemOf(ctx, in.err)
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	in.params.Scope = CallerOf(ctx).Scope
	all, err := a.client.ListSchedules(ctx, in.params)
	if err != nil {
		return nil, a.problemOf(ctx, inQuery(err))
	}
	out := &pageOutput[ScheduleList]{CacheControl: "no-store", Body: ScheduleList{Schedules: make([]Schedule, len(all))}}
	for i, s := range all {
		out.Body.Schedules[i] = *viewSchedule(s)
	}
	if len(all) == in.params.Limit {
		out.Body.NextCursor = all[len(all)-1].ID
		out.Link = nextPage(in.values, out.Body.NextCursor)
	}
	return out, nil
}

func (a *api) getSchedule(ctx context.Context, in *getScheduleInput) (*scheduleOutput, error) {
	out, err := a.changeSchedule(ctx, http.StatusOK, func(ctx context.Context) (*backup.Schedule, error) { return a.findSchedule(ctx, in.ID) })
	if err != nil {
		return nil, err
	}
	out.CacheControl = "private, no-cache" // a cache may keep it, and must ask each time
	if in.IfNoneMatch != "" && matchesETag(in.IfNoneMatch, out.ETag) {
		out.Status, out.ContentType, out.Body = http.StatusNotModified, "", nil
	}
	return out, nil
}
