package backup

import (
	"time"
)

// AttemptOutcome is how an attempt at a task ended.
type AttemptOutcome string

// The outcomes.
const (
	AttemptDone     AttemptOutcome = "done"     // the task is done
	AttemptFailed   AttemptOutcome = "failed"   // Failure says why
	AttemptHanded   AttemptOutcome = "handed"   // the worker was stopped, and handed the task over
	AttemptLost     AttemptOutcome = "lost"     // the worker died, or lost its lease; the next attempt found out
	AttemptCanceled AttemptOutcome = "canceled" // the task was canceled
)

// MaxAttemptHistory is how many of a task's attempts are kept: the last ones.
const MaxAttemptHistory = 100

// Attempt is one attempt at a task that has ended.
type Attempt struct {
	N             int            `json:"n"` // counts from 1, whatever the outcomes
	Worker        string         `json:"worker"`
	StartedAt     time.Time      `json:"startedAt"`
	EndedAt       time.Time      `json:"endedAt"`
	Outcome       AttemptOutcome `json:"outcome"`
	Failure       *Failure       `json:"error,omitempty"`
	FromByte      int64          `json:"fromByte"`      // 0, or where it went on behind the attempt before
	ReceivedBytes int64          `json:"receivedBytes"` // how far it came in the export, FromByte included
	StoredBytes   int64          `json:"storedBytes"`   // how much of that was in the journal
}

// ending adds what endAttempt takes to the arguments of a statement.
func ending(outcome AttemptOutcome, f *Failure, received int64, args named) named {
	if f == nil {
		f = &Failure{}
	}
	args["outcome"], args["received"] = outcome, received
	args["class"], args["error"], args["hint"] = string(f.Class), f.Message, f.Hint
	return args
}

// endAttempt is a part of each UPDATE that ends a lease: it adds the attempt to
// the task's history. It takes @outcome, @class, @error, @hint and @received, and calls the task t.
// A task that isn't leased is in no attempt.
const endAttempt = `attempts = CASE WHEN t.lease_token IS NULL THEN t.attempts ELSE
	(CASE WHEN jsonb_array_length(t.attempts) >= 100 THEN t.attempts - 0 ELSE t.attempts END) || jsonb_strip_nulls(jsonb_build_object(
		'n', t.claims, 'worker', coalesce(t.lease_worker, ''), 'startedAt', coalesce(t.claimed_at, t.started_at, t.created_at), 'endedAt', now(), 'outcome', @outcome::text,
		'error', CASE WHEN @class::text <> '' THEN jsonb_build_object('class', @class::text, 'message', @error::text, 'hint', nullif(@hint::text, '')) END,
		'fromByte', t.from_bytes, 'receivedBytes', greatest(t.received_bytes, @received::bigint), 'storedBytes', t.stored_bytes)) END,
	received_bytes = greatest(t.received_bytes, @received::bigint), rate = 0`
