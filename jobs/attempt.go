package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// attempt is one attempt at a task.
type attempt struct {
	w        *Workers
	provider *backup.ProviderConfig
	work     *backup.TaskWork
	held     *held

	proof     backup.Proof
	announced time.Time // when the last event of stored parts was written
}

// export streams the export into staged parts, proves its end, and passes the
// commit gate.
func (a *attempt) export(ctx context.Context) (*blob.Content, error) {
	checkpoint, err := a.checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	asked := now()
	ex, closeExport, err := a.open(ctx, checkpoint)
	if err != nil {
		return nil, err
	}
	defer closeExport()
	if ex.Offset == 0 {
		checkpoint = nil
	}
	if err := a.record(ctx, ex, checkpoint != nil, now().Sub(asked)); err != nil {
		return nil, err
	}
	content, err := a.stage(ctx, ex, checkpoint)
	if err != nil {
		return nil, err
	}
	if a.proof, err = prove(a.provider, ex, content); err != nil {
		return nil, &notProvenError{err}
	}
	return content, a.w.ledger.GateTask(ctx, a.work, content, a.proof)
}

// checkpoint is the journal, if the store still has what it lists and the
// source may be able to go on behind it.
func (a *attempt) checkpoint(ctx context.Context) (*blob.Checkpoint, error) {
	if a.work.Checkpoint == nil || a.work.Validator == "" {
		return nil, nil //nolint:nilnil // begin at the first byte
	}
	ok, err := blob.Resumable(ctx, a.w.store, a.work.Task.ObjectKey, a.work.Checkpoint)
	if err != nil {
		return nil, backup.Retryable(fmt.Errorf("list staged parts: %w", err), "look at the store")
	}
	if !ok {
		return nil, nil //nolint:nilnil // begin at the first byte
	}
	return a.work.Checkpoint, nil
}

var errOpenTimeout = errors.New("the export did not begin in time")

// open asks the provider for the export. The function it returns closes it.
func (a *attempt) open(ctx context.Context, checkpoint *blob.Checkpoint) (*backup.Export, func(), error) {
	req := &backup.ExportRequest{
		BackupID: a.work.BackupID, UserID: a.work.Backup.UserID, SiteID: a.work.Backup.SiteID, Provider: a.provider.Name,
	}
	if checkpoint != nil {
		req.Offset, req.Validator = checkpoint.Offset, a.work.Validator
	}
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(a.provider.OpenTimeout, func() { cancel(errOpenTimeout) })
	ex, err := a.provider.Provider.Export(ctx, req)
	timer.Stop()
	if err == nil && (ex == nil || ex.Body == nil) {
		err = backup.Permanent(errors.New("open export: the provider returned none, and no error"), "this is a bug of the provider")
	}
	if err == nil {
		if err = a.admit(ex, req.Offset); err != nil {
			_ = ex.Body.Close() // nothing was read
		}
	} else if errors.Is(context.Cause(ctx), errOpenTimeout) {
		err = backup.Retryable(fmt.Errorf("open export: %w (%s)", errOpenTimeout, a.provider.OpenTimeout), "look at the source, or raise the provider's open timeout")
	}
	if err != nil {
		cancel(nil)
		return nil, nil, err
	}
	return ex, func() { cancel(nil) }, nil // Stage closes the body
}

// admit looks at what the source announced, before a byte is read.
func (a *attempt) admit(ex *backup.Export, asked int64) error {
	if ex.Offset != 0 && ex.Offset != asked {
		return backup.Permanent(fmt.Errorf("open export: asked for offset %d and got %d", asked, ex.Offset), "the provider resumes at the wrong offset")
	}
	if limit := a.provider.MaxSize; limit > 0 && ex.Size > limit {
		return backup.Permanent(fmt.Errorf("open export: announced %d bytes, the limit is %d", ex.Size, limit), "raise the provider's maximum size, or make the export smaller")
	}
	return nil
}

// record notes the export in the task's row.
func (a *attempt) record(ctx context.Context, ex *backup.Export, resumed bool, took time.Duration) error {
	given := a.work.Task.ObjectKey
	err := a.w.ledger.OpenTask(ctx, a.work, backup.Source{
		Resumed: resumed, Validator: ex.Validator, ContentType: ex.ContentType, Size: ex.Size, Took: took,
	})
	if err != nil {
		_ = ex.Body.Close() // nothing was read
		return err
	}
	if given != a.work.Task.ObjectKey {
		// What was staged under the old name is of no use to anybody any more. If
		// this fails, it expires.
		if err := a.w.store.Abort(ctx, given); err != nil {
			a.w.cfg.Logger.InfoContext(ctx, "drop staged parts", "object", given, "error", err)
		}
	}
	return nil
}

func (a *attempt) stage(ctx context.Context, ex *backup.Export, checkpoint *blob.Checkpoint) (*blob.Content, error) {
	cfg := &a.w.cfg
	content, err := blob.Stage(ctx, a.w.store, a.work.Task.ObjectKey, ex.Body, &blob.UploadOptions{
		UploadID: a.work.UploadID, Token: a.work.Token,
		PartSize: cfg.PartSize, Concurrency: cfg.Concurrency, Buffers: a.w.buffers,
		Resume: checkpoint, Journal: a.journal, JournalBytes: cfg.JournalBytes, JournalInterval: cfg.JournalInterval,
		MaxSize: a.provider.MaxSize, StallTimeout: a.provider.StallTimeout,
		Progress: a.held.received.Store,
	})
	return content, classifyStage(err)
}

// announceEvery is how often a task's stored parts make an event.
const announceEvery = time.Second

func (a *attempt) journal(ctx context.Context, c *blob.Checkpoint) error {
	at := now()
	announce := at.Sub(a.announced) >= announceEvery
	if announce {
		a.announced = at
	}
	return a.w.ledger.JournalTask(ctx, a.work.Lease, c, announce)
}

// classifyStage gives the engine's errors their class and hint.
func classifyStage(err error) error {
	var limit *blob.LimitError
	var store *blob.StoreError
	var source *blob.SourceError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &limit):
		return backup.Permanent(err, "raise the provider's maximum size, or make the export smaller")
	case errors.Is(err, blob.ErrTooManyParts):
		return backup.Permanent(err, "use larger parts")
	case errors.Is(err, blob.ErrStalled):
		return backup.Retryable(err, "the source sends nothing; look at it")
	case errors.As(err, &store):
		return backup.Retryable(err, "look at the store")
	case errors.As(err, &source):
		return sourceFailed(err)
	default:
		return err
	}
}

// sourceFailed keeps the class that the provider gave, and else says that the
// stream was cut.
func sourceFailed(err error) error {
	var classed *backup.ClassError
	if errors.As(err, &classed) {
		return err
	}
	return backup.Retryable(err, "the source's stream was cut")
}
