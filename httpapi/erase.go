package httpapi

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sitebackup/sitebackup/backup"
)

// Erasure is an erasure of all that is a user's or a site's, and its receipt. Once it has
// finished it names nobody.
type Erasure struct {
	ID          string     `json:"id" format:"uuid" doc:"The erasure's id." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	Status      string     `json:"status" enum:"running,done" doc:"Done: everything is gone." example:"done"`
	UserID      string     `json:"userId,omitempty" doc:"Whose it is, until it is done." example:"658683afc91423af04d82152"`
	SiteID      string     `json:"siteId,omitempty" doc:"Which site, until it is done." example:"658683afc91423af04d82153"`
	WholeUser   bool       `json:"wholeUser,omitempty" doc:"It is of all the user's sites."`
	RequestedAt time.Time  `json:"requestedAt"`
	FinishedAt  *time.Time `json:"finishedAt,omitempty" doc:"When it was done."`
	Backups     int64      `json:"backups" doc:"Backups that are gone so far." example:"12"`
	Schedules   int64      `json:"schedules" doc:"Schedules that are gone so far." example:"1"`
	Objects     int64      `json:"objects" doc:"Objects that were removed from the store so far, manifests among them." example:"36"`
	Bytes       int64      `json:"bytes" doc:"The bytes of those." example:"1073741824"`
	Error       string     `json:"error,omitempty" doc:"What holds it up; it is tried again."`
}

type erasureOutput struct {
	Location     string `header:"Location" doc:"Where the erasure, and later its receipt, is found."`
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         *Erasure
}

type receiptOutput struct {
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         *Erasure
}

type eraseUserInput struct {
	UserID   string `path:"userId" doc:"The user." example:"658683afc91423af04d82152"`
	location func(id string) string
}

// Resolve keeps where the API is.
func (in *eraseUserInput) Resolve(ctx huma.Context) []error {
	in.location = func(id string) string { return beside(ctx, 3, "erasure/"+id) } // /user/{userId}/backup
	return nil
}

type eraseSiteInput struct {
	UserID   string `path:"userId" doc:"The user." example:"658683afc91423af04d82152"`
	SiteID   string `path:"siteId" doc:"The user's site." example:"658683afc91423af04d82153"`
	location func(id string) string
}

// Resolve keeps where the API is.
func (in *eraseSiteInput) Resolve(ctx huma.Context) []error {
	in.location = func(id string) string { return beside(ctx, 5, "erasure/"+id) } // /user/{userId}/site/{siteId}/backup
	return nil
}

type erasureInput struct {
	ID string `path:"id" doc:"The erasure's id." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
}

const erased = " with their history, backups, open ones after they have been canceled, and every object in the store below its name, also those that no backup tells of. There is no way back. " +
	"As long as a legal hold is on one of the backups it is refused, and nothing changes. To ask again while it is under way gives the same erasure; " +
	"new backups and schedules are refused until it is done. What it leaves is a receipt that names nobody. " +
	"For whom the credential isn't it answers 403, whether there is anything or not."

func (a *api) registerErase(to huma.API) {
	failures := []Code{CodeHeld, CodeNotFound, CodeValidationFailed}
	huma.Register(to, a.operation(to, ScopeWrite, huma.Operation{
		OperationID: "eraseUser", Method: http.MethodDelete, Path: "/user/{userId}/backup", Tags: []string{tag}, DefaultStatus: http.StatusAccepted,
		Summary: "Erase all that is a user's", Description: "Of all the user's sites: schedules" + erased,
	}, failures...), func(ctx context.Context, in *eraseUserInput) (*erasureOutput, error) {
		return a.erase(ctx, backup.EraseParams{UserID: in.UserID}, in.location)
	})
	huma.Register(to, a.operation(to, ScopeWrite, huma.Operation{
		OperationID: "eraseSite", Method: http.MethodDelete, Path: "/user/{userId}/site/{siteId}/backup", Tags: []string{tag}, DefaultStatus: http.StatusAccepted,
		Summary: "Erase all that is a site's", Description: "Schedules" + erased,
	}, failures...), func(ctx context.Context, in *eraseSiteInput) (*erasureOutput, error) {
		if in.SiteID == "" { // which would be all of them
			return nil, a.problemOf(ctx, newProblem(CodeNotFound, "There is no such site."))
		}
		return a.erase(ctx, backup.EraseParams{UserID: in.UserID, SiteID: in.SiteID}, in.location)
	})
	huma.Register(to, a.operation(to, ScopeRead, huma.Operation{
		OperationID: "getErasure", Method: http.MethodGet, Path: "/erasure/{id}", Tags: []string{tag},
		Summary: "Tell how an erasure stands",
		Description: "As long as it is under way it is there for credentials that are for whose it is. Its receipt names nobody, and is there for all who know the id, " +
			"until the server's time for receipts is over.",
	}, CodeNotFound), a.getErasure)
}

// mayErase reports whether all that p names is the caller's.
func mayErase(scope backup.Scope, userID, siteID string, whole bool) bool {
	if !whole {
		return scope.Allows(userID, siteID)
	}
	return (len(scope.Sites) == 0 || slices.Contains(scope.Sites, "*")) && backup.Scope{Users: scope.Users}.Allows(userID, "")
}

func (a *api) erase(ctx context.Context, p backup.EraseParams, location func(string) string) (*erasureOutput, error) {
	if !mayErase(CallerOf(ctx).Scope, p.UserID, p.SiteID, p.SiteID == "") {
		return nil, a.problemOf(ctx, a.guard.forbidden(0, "This credential is not for all that would be erased."))
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	e, err := a.client.Erase(ctx, p)
	if err != nil {
		return nil, a.problemOf(ctx, inPath(err))
	}
	return &erasureOutput{Location: location(e.ID), CacheControl: "no-store", Body: viewErasure(e)}, nil
}

func (a *api) getErasure(ctx context.Context, in *erasureInput) (*receiptOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	e, err := a.client.GetErasure(ctx, in.ID)
	if err == nil && e.FinishedAt == nil && !mayErase(CallerOf(ctx).Scope, e.UserID, e.SiteID, e.WholeUser) {
		err = backup.ErrErasureNotFound
	}
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return &receiptOutput{CacheControl: "no-store", Body: viewErasure(e)}, nil
}

func viewErasure(e *backup.Erasure) *Erasure {
	v := &Erasure{
		ID: e.ID, Status: "running", UserID: e.UserID, SiteID: e.SiteID, WholeUser: e.WholeUser, RequestedAt: e.RequestedAt.UTC(), FinishedAt: utc(e.FinishedAt),
		Backups: e.Backups, Schedules: e.Schedules, Objects: e.Objects, Bytes: e.Bytes, Error: e.Error,
	}
	if e.FinishedAt != nil {
		v.Status, v.Error = "done", ""
	}
	return v
}
