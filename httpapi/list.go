package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sitebackup/sitebackup/backup"
)

const (
	defaultLimit = 50
	maxLimit     = 200
)

type status struct {
	name   string
	states []backup.State
}

// statuses are those that the API shows, each with the states that it stands for.
var statuses = []status{
	{"pending", []backup.State{backup.StatePending}},
	{"running", []backup.State{backup.StateRunning, backup.StateSealing}},
	{"done", []backup.State{backup.StateDone}},
	{"failed", []backup.State{backup.StateFailed}},
	{"canceled", []backup.State{backup.StateCanceled}},
	{"deleting", []backup.State{backup.StateDeleting}},
}

type listInput struct {
	values url.Values
	params backup.ListParams
	err    error
}

// Resolve reads the request's query.
func (in *listInput) Resolve(ctx huma.Context) []error {
	q := readQuery(ctx)
	in.values = q.values
	in.params = backup.ListParams{
		UserID: q.one("userId"), SiteID: q.one("siteId"), Schedule: q.one("scheduleId"), States: q.states("status"),
		Since: q.time("since"), Until: q.time("until"), After: q.cursor("cursor"), Limit: q.limit(),
	}
	in.err = q.err()
	return nil
}

func (q *query) states(name string) []backup.State {
	var states []backup.State
	for _, value := range q.many(name) {
		i := slices.IndexFunc(statuses, func(s status) bool { return s.name == value })
		if i < 0 {
			q.fail(name, "must be "+strings.Join(statusNames(), ", "))
			return nil
		}
		states = append(states, statuses[i].states...)
	}
	return states
}

func statusNames() []string {
	names := make([]string, len(statuses))
	for i, s := range statuses {
		names[i] = s.name
	}
	return names
}

// BackupList is a page of backups.
type BackupList struct {
	Backups    []BackupSummary `json:"backups" nullable:"false" doc:"The backups, the newest first."`
	NextCursor string          `json:"nextCursor,omitempty" doc:"The cursor of the next page. It is left out on the last page." example:"AAYx8kJ5YAABmhssPU5_YIqbDB0uP0pb"`
}

func (a *api) registerList(to huma.API) {
	huma.Register(to, a.operation(to, ScopeRead, huma.Operation{
		OperationID: "listBackups",
		Method:      http.MethodGet,
		Path:        "/backup",
		Tags:        []string{tag},
		Summary:     "List backups",
		Description: "The backups are listed without their exports, the newest first. Only those that match all given filters are listed. " +
			"To get all pages, follow nextCursor, or the header Link, until there is none. Backups that are started or deleted meanwhile don't shift the pages.",
		Parameters: listParameters(),
	}, CodeValidationFailed), a.list)
}

// param is a parameter of the query.
func param(name, description string, schema *huma.Schema, example any) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: description, Schema: schema, Example: example}
}

func text() *huma.Schema { return &huma.Schema{Type: huma.TypeString} }

func between(least, most, otherwise int) *huma.Schema {
	from, to := float64(least), float64(most)
	return &huma.Schema{Type: huma.TypeInteger, Minimum: &from, Maximum: &to, Default: otherwise}
}

func limitParam() *huma.Param {
	return param("limit", "The most items that a page has.", between(1, maxLimit, defaultLimit), 50)
}

func cursorParam(example string) *huma.Param {
	return param("cursor", "Where the page begins: the nextCursor of the previous page.", text(), example)
}

func listParameters() []*huma.Param {
	at := func() *huma.Schema { return &huma.Schema{Type: huma.TypeString, Format: "date-time"} }
	status := text()
	for _, name := range statusNames() {
		status.Enum = append(status.Enum, name)
	}
	return []*huma.Param{
		param("userId", "List only backups of this user.", text(), "658683afc91423af04d82152"),
		param("siteId", "List only backups of this site.", text(), "658683afc91423af04d82153"),
		param("scheduleId", "List only backups that this schedule has started.", text(), "019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"),
		param("status", "List only backups with this status. May be given more than once.", &huma.Schema{Type: huma.TypeArray, Items: status}, []string{"running"}),
		param("since", "List only backups that were requested at this time or later.", at(), "2026-01-02T03:04:05Z"),
		param("until", "List only backups that were requested before this time.", at(), "2026-02-02T03:04:05Z"),
		limitParam(),
		cursorParam("AAYx8kJ5YAABmhssPU5_YIqbDB0uP0pb"),
	}
}

func (a *api) list(ctx context.Context, in *listInput) (*pageOutput[BackupList], error) {
	if in.err != nil {
		return nil, a.problemOf(ctx, in.err)
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	in.params.Scope = CallerOf(ctx).Scope
	bs, err := a.client.List(ctx, in.params)
	if err != nil {
		return nil, a.problemOf(ctx, inQuery(err))
	}
	out := &pageOutput[BackupList]{CacheControl: "no-store", Body: BackupList{Backups: make([]BackupSummary, len(bs))}}
	for i, b := range bs {
		out.Body.Backups[i] = summary(b)
	}
	if len(bs) == in.params.Limit {
		next := bs[len(bs)-1].Cursor().String()
		out.Body.NextCursor, out.Link = next, nextPage(in.values, next)
	}
	return out, nil
}
