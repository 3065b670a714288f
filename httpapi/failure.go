package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sitebackup/sitebackup/backup"
)

// retryAfter is how long a client is asked to wait while the database is away.
const retryAfter = 5 * time.Second

// problemOf tells the client of err as much as it may know, and the log the
// rest.
func (a *api) problemOf(ctx context.Context, err error) *Problem {
	p := a.classify(ctx, err)
	p.RequestID = RequestID(ctx)
	return p
}

func (a *api) classify(ctx context.Context, err error) *Problem {
	var problem *Problem
	var field *backup.FieldError
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.As(err, &field):
		return validationProblem(FieldError{Location: "body." + field.Field, Message: field.Rule})
	case errors.Is(err, backup.ErrNotFound):
		return newProblem(CodeNotFound, "There is no such backup.")
	case errors.Is(err, context.Canceled):
		return unavailableProblem() // the client has gone: nobody reads it
	case backup.IsUnavailable(err):
		a.log.WarnContext(ctx, "database is unavailable", slog.String("requestId", RequestID(ctx)), slog.Any("error", err))
		return unavailableProblem()
	default:
		a.log.ErrorContext(ctx, "request failed", slog.String("requestId", RequestID(ctx)), slog.Any("error", err))
		return internalProblem()
	}
}

func unavailableProblem() *Problem {
	p := newProblem(CodeUnavailable, "The database can't be reached at the moment. Please try again.")
	p.retryAfter = retryAfter
	return p
}

func internalProblem() *Problem {
	return newProblem(CodeInternal, "Something went wrong on this side. The server's log has more under the request id.")
}
