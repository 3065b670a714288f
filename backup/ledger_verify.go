package backup

import (
	"context"
	"encoding/json"
	"fmt"
)

// VerifyWork is a verification, claimed.
type VerifyWork struct {
	*StepWork

	ManifestKey string
	Manifest    []byte // as it was written
	Params      VerifyParams
}

// ClaimVerify claims a backup that is to be verified.
func (l *Ledger) ClaimVerify(ctx context.Context, backupID string, p ClaimParams) (*StepWork, error) {
	w, err := l.claimStep(ctx, backupID, p, StateDone)
	if err != nil {
		return nil, err
	}
	if !w.Backup.Verifying() { // this job has ended it, and runs again
		if err := l.ReleaseStep(ctx, w.Lease); err != nil {
			return nil, err
		}
		return nil, &IdleError{Reason: "no verification is asked for", Done: true}
	}
	return w, nil
}

// VerifyWork reads what the copy is compared with.
func (l *Ledger) VerifyWork(ctx context.Context, w *StepWork) (*VerifyWork, error) {
	v := &VerifyWork{StepWork: w}
	err := l.c.cfg.Pool.QueryRow(ctx, l.c.sql(`SELECT manifest, manifest_key, sample FROM {{schema}}.backup
		WHERE id = @id AND lease_token = @token AND state = 'done'`), named{"id": w.BackupID, "token": w.Token}).Scan(&v.Manifest, &v.ManifestKey, &v.Params.Sample)
	if isNoRows(err) {
		err = ErrLeaseLost
	}
	if err != nil {
		return nil, fmt.Errorf("read verification: %w", err)
	}
	return v, nil
}

// FinishVerify records what was found. A backup that is being deleted by now, or
// another verification of which has begun, isn't judged: ErrLeaseLost.
func (l *Ledger) FinishVerify(ctx context.Context, lease Lease, v *Verification) error {
	return l.step(ctx, lease, StateDone, func(ch *change) error { return ch.endVerify(v) })
}

func (ch *change) endVerify(v *Verification) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode verification: %w", err)
	}
	ch.b.failures = 0
	ch.emit(EventUpdateBackup, "", verifyData{State: ch.b.State, Verification: v})
	// What a sample finds in order says nothing about the part that was damaged.
	ch.last.Queue(ch.c.sql(`UPDATE {{schema}}.backup SET verification = @data::jsonb || jsonb_build_object('finishedAt', now()), requested_at = NULL, next_attempt_at = NULL,
			lease_token = NULL, lease_until = NULL,
			verified_at = CASE WHEN @judged AND NOT @bad THEN now() ELSE verified_at END,
			corrupt_at = CASE WHEN @bad THEN now() WHEN @judged AND @whole THEN NULL ELSE corrupt_at END
		WHERE id = @id`),
		named{"id": ch.b.ID, "data": data, "judged": v.Failure == nil, "bad": len(v.Problems) > 0, "whole": v.Sample == 1})
	ch.lookAgain()
	return nil
}
