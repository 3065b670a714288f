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
	Status      string     `json:"status" enum:"running,done" doc:"The erasure's status. done means that everything is gone." example:"done"`
	UserID      string     `json:"userId,omitempty" doc:"The user whose data is erased. It is left out once the erasure is done." example:"658683afc91423af04d82152"`
	SiteID      string     `json:"siteId,omitempty" doc:"The site whose data is erased. It is left out once the erasure is done." example:"658683afc91423af04d82153"`
	WholeUser   bool       `json:"wholeUser,omitempty" doc:"Whether everything of the user is erased, and not one site only."`
	RequestedAt time.Time  `json:"requestedAt"`
	FinishedAt  *time.Time `json:"finishedAt,omitempty" doc:"When the erasure was done."`
	Backups     int64      `json:"backups" doc:"How many backups have been erased so far." example:"12"`
	Schedules   int64      `json:"schedules" doc:"How many schedules have been erased so far." example:"1"`
	Objects     int64      `json:"objects" doc:"How many objects have been removed from the store so far, manifests included." example:"36"`
	Bytes       int64      `json:"bytes" doc:"How many bytes the removed objects had." example:"1073741824"`
	Error       string     `json:"error,omitempty" doc:"What is holding the erasure up. It is tried again."`
}

type erasureOutput struct {
	Location     string `header:"Location" doc:"The path of the erasure, and later of its receipt."`
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

const erased = " with their history, backups (those that haven't ended are canceled first), and every object in the store below the name, including objects that no backup knows. This can't be undone. " +
	"If one of the backups is under a legal hold, the request is refused and nothing changes. Asking again while the erasure is under way returns the same erasure; " +
	"new backups and schedules are refused until it is done. What remains is a receipt that names nobody. " +
	"For a user or site that the credential doesn't cover, the answer is 403, whether or not they exist."

func (a *api) registerErase(to huma.API) {
	failures := []Code{CodeHeld, CodeNotFound, CodeValidationFailed}
	huma.Register(to, a.operation(to, ScopeWrite, huma.Operation{
		OperationID: "eraseUser", Method: http.MethodDelete, Path: "/user/{userId}/backup", Tags: []string{tag}, DefaultStatus: http.StatusAccepted,
		Summary: "Erase everything of a user", Description: "For all the user's sites, this deletes schedules" + erased,
	}, failures...), func(ctx context.Context, in *eraseUserInput) (*erasureOutput, error) {
		return a.erase(ctx, backup.EraseParams{UserID: in.UserID}, in.location)
	})
	huma.Register(to, a.operation(to, ScopeWrite, huma.Operation{
		OperationID: "eraseSite", Method: http.MethodDelete, Path: "/user/{userId}/site/{siteId}/backup", Tags: []string{tag}, DefaultStatus: http.StatusAccepted,
		Summary: "Erase everything of a site", Description: "This deletes the site's schedules" + erased,
	}, failures...), func(ctx context.Context, in *eraseSiteInput) (*erasureOutput, error) {
		if in.SiteID == "" { // which would be all of them
			return nil, a.problemOf(ctx, newProblem(CodeNotFound, "There is no such site."))
		}
		return a.erase(ctx, backup.EraseParams{UserID: in.UserID, SiteID: in.SiteID}, in.location)
	})
	huma.Register(to, a.operation(to, ScopeRead, huma.Operation{
		OperationID: "getErasure", Method: http.MethodGet, Path: "/erasure/{id}", Tags: []string{tag},
		Summary: "Show the state of an erasure",
		Description: "While the erasure is under way, it can be seen by credentials that cover its user or site. Its receipt names nobody, and can be seen by everybody who knows the id, " +
			"until the server removes it.",
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
