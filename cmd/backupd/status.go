package main

import (
	"errors"
	"net/http"

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
	statusCut       = 130 // a second signal
)

// statusError is an error with the exit status that it means.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// statusOf is the exit status that an error means.
func statusOf(err error) int {
	var s *statusError
	if errors.As(err, &s) {
		return s.status
	}
	var answer *client.Error
	if !errors.As(err, &answer) {
		return statusFailed
	}
	switch answer.Status {
	case http.StatusNotFound:
		return statusNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return statusForbidden
	case http.StatusConflict:
		return statusConflict
	default:
		return statusFailed
	}
}
