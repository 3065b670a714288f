package httpapi

import (
	"context"
	"errors"
	"fmt"
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
	if p := conflict(err); p != nil {
		return p
	}
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.As(err, &field):
		return validationProblem(FieldError{Location: "body." + field.Field, Message: field.Rule})
	case errors.Is(err, backup.ErrNotFound):
		return newProblem(CodeNotFound, "There is no such backup.")
	case errors.Is(err, backup.ErrScheduleNotFound):
		return newProblem(CodeNotFound, "There is no such schedule.")
	case errors.Is(err, backup.ErrErasureNotFound):
		return newProblem(CodeNotFound, "There is no such erasure.")
	case errors.Is(err, backup.ErrNoStore):
		return newProblem(CodeNoStore, "This server has no access to the store: ask one that makes backups.")
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

// conflict is what is said where the backup or schedule doesn't allow what was asked, or
// nil.
func conflict(err error) *Problem {
	var state *backup.StateError
	var held *backup.HeldError
	var active *backup.ActiveError
	var reused *backup.KeyReusedError
	var exists *backup.ScheduleExistsError
	var erasing *backup.ErasingError
	var version *backup.VersionError
	var declared *backup.DeclaredError
	switch {
	case errors.As(err, &state):
		return newProblem(CodeStateConflict, fmt.Sprintf("It isn't possible to %s a backup that is %s.", state.Verb, stateText(state.State)))
	case errors.As(err, &held):
		p := newProblem(CodeHeld, "There is a legal hold on the backup since "+held.Since.UTC().Format(time.RFC3339)+".")
		p.BackupID = held.BackupID
		return p
	case errors.As(err, &active):
		p := newProblem(CodeBackupActive, "The user's site has a backup that hasn't ended.")
		p.BackupID = active.BackupID
		return p
	case errors.As(err, &reused):
		return newProblem(CodeKeyReused, "This Idempotency-Key was used with another body before.")
	case errors.As(err, &erasing):
		return newProblem(CodeErasing, "All that is the user's or site's is being erased. Ask again when that is done.")
	case errors.As(err, &exists):
		p := newProblem(CodeScheduleExists, "The user's site has a schedule of this name.")
		p.ScheduleID = exists.ScheduleID
		return p
	case errors.As(err, &version):
		return newProblem(CodePrecondition, "The schedule was changed since.")
	case errors.As(err, &declared):
		return newProblem(CodeScheduleDeclared, "The schedule stands in the server's configuration file: change it there, or pause it.")
	}
	return nil
}

// stateText is a state in the words of this API, which shows no sealing.
func stateText(s backup.State) string {
	if s == backup.StateSealing {
		return "running, and whose manifest is being written"
	}
	return string(s)
}

func unavailableProblem() *Problem {
	p := newProblem(CodeUnavailable, "The database can't be reached at the moment, or is too slow. Please try again.")
	p.retryAfter = retryAfter
	return p
}

func internalProblem() *Problem {
	return newProblem(CodeInternal, "Something went wrong on this side. The server's log has more under the request id.")
}
