package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sitebackup/sitebackup/backup"
)

type planRetentionInput struct {
	values url.Values
	params backup.PlanRetentionParams
	err    error
}

// Resolve reads the request's query.
func (in *planRetentionInput) Resolve(ctx huma.Context) []error {
	q := readQuery(ctx)
	in.values = q.values
	in.params = backup.PlanRetentionParams{UserID: q.one("userId"), SiteID: q.one("siteId"), Removed: q.flag("removed"), Limit: q.limit()}
	if cursor := q.one("cursor"); cursor != "" {
		var err error
		if in.params.After, err = backup.ParseRetentionCursor(cursor); err != nil {
			q.fail("cursor", "must be a cursor that this list has given")
		}
	}
	in.err = q.err()
	return nil
}

// RetentionPlan is a page of what retention would do.
type RetentionPlan struct {
	Now        time.Time           `json:"now" doc:"The time for which the plan was computed."`
	Decisions  []RetentionDecision `json:"decisions" nullable:"false" doc:"One decision for each backup. Those of one site follow each other, the newest backup first. A page may be empty and still be followed by another."`
	NextCursor string              `json:"nextCursor,omitempty" doc:"The cursor of the next page. It is left out on the last page." example:"NjU4NjgzYWZjOTE0MjNhZjA0ZDgyMTUyAHMA"`
}

// RetentionDecision is what would become of a backup, and why.
type RetentionDecision struct {
	BackupID   string    `json:"backupId" format:"uuid" example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	UserID     string    `json:"userId" example:"658683afc91423af04d82152"`
	SiteID     string    `json:"siteId" example:"658683afc91423af04d82153"`
	ScheduleID string    `json:"scheduleId,omitempty" format:"uuid" doc:"The schedule that started the backup, which may have been deleted since. It is left out if no schedule did." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	CreatedAt  time.Time `json:"createdAt" doc:"When the backup was requested."`
	Keep       bool      `json:"keep" doc:"Whether the backup is kept."`
	Reasons    []string  `json:"reasons" nullable:"false" doc:"All reasons for which the backup is kept, or the one for which it is removed. A reason is a code such as last, daily, newest-good, held, no-policy or policy. Calendar rules add the period after a space, and rules about copies add the provider after a colon." example:"[\"daily 2026-11-23\",\"newest-good:site\"]"`
}

func (a *api) registerRetention(to huma.API) {
	huma.Register(to, a.operation(to, ScopeRead, huma.Operation{
		OperationID: "planRetention", Method: http.MethodGet, Path: "/retention/plan", Tags: []string{retentionTag},
		Summary: "Show what retention would remove, and why",
		Description: "Asking removes nothing. All backups are listed, including those that no policy covers. When retention runs it removes what is listed for removal, " +
			"unless something has changed by then: another backup is done or was found to be corrupt, one was put on hold, or time has passed.",
		Parameters: []*huma.Param{
			param("userId", "List only backups of this user.", text(), "658683afc91423af04d82152"),
			param("siteId", "List only backups of this site.", text(), "658683afc91423af04d82153"),
			param("removed", "List only backups that would be removed, or are being removed.", &huma.Schema{Type: huma.TypeBoolean, Default: false}, true),
			limitParam(),
			cursorParam("NjU4NjgzYWZjOTE0MjNhZjA0ZDgyMTUyAHMA"),
		},
	}, CodeValidationFailed), a.planRetention)
}

func (a *api) planRetention(ctx context.Context, in *planRetentionInput) (*pageOutput[RetentionPlan], error) {
	if in.err != nil {
		return nil, a.problemOf(ctx, in.err)
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	in.params.Scope = CallerOf(ctx).Scope
	plan, err := a.client.PlanRetention(ctx, in.params)
	if err != nil {
		return nil, a.problemOf(ctx, inQuery(err))
	}
	out := &pageOutput[RetentionPlan]{CacheControl: "no-store", Body: RetentionPlan{Now: plan.Now.UTC(), Decisions: make([]RetentionDecision, len(plan.Decisions))}}
	for i := range plan.Decisions {
		d := &plan.Decisions[i]
		out.Body.Decisions[i] = RetentionDecision{
			BackupID: d.BackupID, UserID: d.UserID, SiteID: d.SiteID, ScheduleID: d.ScheduleID, CreatedAt: d.CreatedAt.UTC(), Keep: d.Keep, Reasons: d.Reasons,
		}
	}
	if plan.Next != nil {
		out.Body.NextCursor = plan.Next.String()
		out.Link = nextPage(in.values, out.Body.NextCursor)
	}
	return out, nil
}
