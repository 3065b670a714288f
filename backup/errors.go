package backup

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrNotFound means that no backup has that id. An id that is no UUID is
	// not found, too.
	ErrNotFound = errors.New("backup not found")

	// ErrNoStore means that a verb that reads objects was called on a Client
	// whose Config.Store is nil.
	ErrNoStore = errors.New("no store is configured")

	// ErrLeaseLost means that a worker's lease on a task or a step has ended or
	// went to another worker, or that the row has left the state the verb is
	// for. Nothing was written; the worker must stop.
	ErrLeaseLost = errors.New("lease lost")
)

// FieldError is a bad value in a request: it names the field, as JSON spells
// it, and the rule that was broken.
type FieldError struct {
	Field string // "userId"
	Rule  string // "must not be empty"
}

func (e *FieldError) Error() string { return e.Field + " " + e.Rule }

// StateError means that a backup isn't in a state that allows the verb.
type StateError struct {
	Verb  string // "cancel", "retry"
	State State  // the state the backup is in
}

func (e *StateError) Error() string {
	return fmt.Sprintf("%s backup: not possible while it is %s", e.Verb, e.State)
}

// Class says what is to be done after an error.
type Class string

// The classes.
const (
	ClassPermanent  Class = "permanent"   // trying again can't help
	ClassRetryable  Class = "retryable"   // try again after a backoff
	ClassRetryAfter Class = "retry_after" // try again when the source or the store said; uses up no attempt
)

// ClassError is an error with its class, an operator's hint, and, for
// ClassRetryAfter, the time to wait. Make one with Permanent, Retryable or
// RetryAfter.
type ClassError struct {
	Class Class
	After time.Duration // only for ClassRetryAfter; 0: nobody said, and the waits grow to 5 minutes
	Hint  string        // one sentence for the operator: what to look at; may be empty
	Err   error
}

func (e *ClassError) Error() string { return e.Err.Error() }
func (e *ClassError) Unwrap() error { return e.Err }

// Failure is e as it is stored and shown: the message and the hint in one line of
// at most 500 bytes each.
func (e *ClassError) Failure() *Failure {
	return &Failure{Class: e.Class, Message: oneLine(e.Err.Error()), Hint: oneLine(e.Hint)}
}

// Permanent marks err as one that trying again can't mend.
func Permanent(err error, hint string) error {
	return &ClassError{Class: ClassPermanent, Hint: hint, Err: err}
}

// Retryable marks err as one that may pass.
func Retryable(err error, hint string) error {
	return &ClassError{Class: ClassRetryable, Hint: hint, Err: err}
}

// RetryAfter marks err as one after which the source asked to wait for d. 0 is for a
// source that has no time and doesn't say how long: the waits grow from one second
// to five minutes then.
func RetryAfter(err error, d time.Duration, hint string) error {
	return &ClassError{Class: ClassRetryAfter, After: d, Hint: hint, Err: err}
}

// Classify returns the class of err: of the outermost ClassError it wraps, or
// else ClassRetryable without a hint.
func Classify(err error) *ClassError {
	var ce *ClassError
	if errors.As(err, &ce) {
		return &ClassError{Class: ce.Class, After: ce.After, Hint: ce.Hint, Err: err}
	}
	return &ClassError{Class: ClassRetryable, Err: err}
}
