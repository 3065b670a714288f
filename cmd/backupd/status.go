package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/remote"
	"github.com/sitebackup/sitebackup/httpapi/client"
)

// The exit statuses, for scripts.
const (
	statusFailed    = 1   // something is wrong
	statusUsage     = 2   // the command line is
	statusBad       = 3   // the backup failed or was canceled, or its copy is damaged
	statusNotFound  = 4   // there is no such backup or schedule, or the token may not see it
	statusForbidden = 5   // the server wants a token, or another one
	statusConflict  = 6   // the state of the backup or schedule doesn't allow this
	statusCut       = 130 // a second signal, or one that interrupts a wait for the server
)

// statusError is an error with the exit status that it means.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// usage is an error of the command line.
func usage(format string, args ...any) error {
	return &statusError{statusUsage, fmt.Errorf(format, args...)}
}

// checkID is the id of a thing, lest one that no path can have asks for something else.
func checkID(thing, text string) (string, error) {
	if id := strings.TrimSpace(text); id != "" && id != "." && id != ".." {
		return id, nil
	}
	return "", usage("%q is no %s's id", text, thing)
}

// interrupted is what a wait for the server ends with: err, or what goes on without
// the command that a signal has ended.
func interrupted(ctx context.Context, err error, goesOn string) error {
	if err != nil && ctx.Err() != nil {
		return &statusError{statusCut, errors.New("interrupted; " + goesOn)}
	}
	return err
}

// statusOf is the exit status that an error means.
func statusOf(err error) int {
	var s *statusError
	if errors.As(err, &s) {
		return s.status
	}
	if errors.Is(err, remote.ErrDamaged) {
		return statusBad
	}
	var answer *client.Error
	if !errors.As(err, &answer) {
		return statusFailed
	}
	switch {
	case answer.Code == client.ProblemCodeObjectDamaged:
		return statusBad
	case answer.Status == http.StatusNotFound:
		return statusNotFound
	case answer.Status == http.StatusUnauthorized, answer.Status == http.StatusForbidden:
		return statusForbidden
	case answer.Status == http.StatusConflict:
		return statusConflict
	default:
		return statusFailed
	}
}
