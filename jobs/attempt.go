package jobs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// attempt is one attempt at a task.
type attempt struct {
	w        *Workers
	provider *backup.ProviderConfig
	work     *backup.TaskWork
	held     *held

	jobID int64

	proof     backup.Proof
	size      int64     // of the export, as announced; or -1
	announced time.Time // when the last event of stored parts was written
	shown     time.Time // when progress was last written to the River job

	stored  int64        // of the export, as it was counted
	outcome string       // one of the Outcome constants, or the class of a failure
	class   backup.Class // of a failure
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
	bctx, cancel := a.w.bounded(ctx)
	defer cancel()
	return content, inLedger(a.w.ledger.GateTask(bctx, a.work, content, a.proof))
}

// checkpoint is the journal, if the store still has what it lists and the
// source may be able to go on behind it.
func (a *attempt) checkpoint(ctx context.Context) (*blob.Checkpoint, error) {
	if a.work.Checkpoint == nil || (a.work.Validator == "" && a.work.Cursor == "") {
		return nil, nil //nolint:nilnil // begin at the first byte
	}
	ok, err := blob.Resumable(ctx, a.w.store, a.work.Task.ObjectKey, a.work.Checkpoint)
	if err != nil {
		return nil, storeFailed(fmt.Errorf("list staged parts: %w", err))
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
		req.Offset, req.Validator, req.Cursor = checkpoint.Offset, a.work.Validator, a.work.Cursor
	}
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(a.provider.OpenTimeout, func() { cancel(errOpenTimeout) })
	ex, err := a.provider.Provider.Export(ctx, req)
	timer.Stop()
	if err == nil && (ex == nil || ex.Body == nil) {
		err = backup.Permanent(errors.New("open export: the provider returned none, and no error"), "this is a bug of the provider")
	}
	if err == nil {
		if err = a.admit(ex, req); err != nil {
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
func (a *attempt) admit(ex *backup.Export, req *backup.ExportRequest) error {
	if ex.Offset != 0 && ex.Offset != req.Offset {
		return backup.Permanent(fmt.Errorf("open export: asked for offset %d and got %d", req.Offset, ex.Offset), "the provider resumes at the wrong offset")
	}
	if ex.Offset != 0 && ex.Cursor != nil && req.Cursor == "" {
		return &notProvenError{backup.Retryable(errors.New("open export: what is stored doesn't end at a cursor of the source"), "the export begins again")}
	}
	if ex.Offset != 0 && req.Validator != "" && ex.Validator != req.Validator {
		return &notProvenError{backup.Retryable(fmt.Errorf("open export: what was resumed has the validator %q, what is stored %q", ex.Validator, req.Validator), "the export begins again")}
	}
	if ex.SHA256 != nil && len(ex.SHA256) != sha256.Size {
		return backup.Permanent(fmt.Errorf("open export: announced a SHA-256 of %d bytes", len(ex.SHA256)), "this is a bug of the provider")
	}
	if ex.Offset > 0 {
		if err := a.hold(ex); err != nil {
			return err
		}
	}
	a.size = max(ex.Size, -1)
	if limit := a.provider.MaxSize; limit > 0 && ex.Size > limit {
		return backup.TooLarge("export", limit, ex.Size, ex.Offset)
	}
	if most := blob.Capacity(a.w.cfg.PartSize); ex.Size > most {
		return backup.Permanent(fmt.Errorf("open export: announced %d bytes, and %d parts hold %d: %w", ex.Size, blob.MaxParts, most, blob.ErrTooManyParts), tooManyHint)
	}
	return nil
}

// hold holds an export that goes on to what was announced when it began, whether or
// not the source says it again.
func (a *attempt) hold(ex *backup.Export) error {
	const hint = "the source's validators don't tell one export from another; the export begins again"
	if before := a.work.Task.AnnouncedSize; before != nil {
		if ex.Size >= 0 && ex.Size != *before {
			return &notProvenError{backup.Retryable(fmt.Errorf("open export: announced %d bytes before and %d now, with the same validator", *before, ex.Size), hint)}
		}
		ex.Size = *before
	}
	if before := a.work.SHA256; before != nil {
		if ex.SHA256 != nil && !bytes.Equal(ex.SHA256, before) {
			return &notProvenError{backup.Retryable(fmt.Errorf("open export: announced the SHA-256 %x before and %x now, with the same validator", before, ex.SHA256), hint)}
		}
		ex.SHA256 = before
	}
	return nil
}

// record notes the export in the task's row.
func (a *attempt) record(ctx context.Context, ex *backup.Export, resumed bool, took time.Duration) error {
	given := a.work.Task.ObjectKey
	bctx, cancel := a.w.bounded(ctx)
	defer cancel()
	err := a.w.ledger.OpenTask(bctx, a.work, backup.Source{
		Resumed: resumed, Validator: ex.Validator, ContentType: ex.ContentType, Size: ex.Size, SHA256: ex.SHA256, Took: took,
	})
	if err != nil {
		_ = ex.Body.Close() // nothing was read
		return inLedger(err)
	}
	if given != a.work.Task.ObjectKey {
		// What was staged under the old name is of no use to anybody any more. If
		// this fails, it expires.
		if err := a.w.store.Abort(ctx, given); err != nil {
			a.w.cfg.Logger.InfoContext(ctx, "drop staged parts", "backup", a.work.Backup.ID, "provider", a.work.Task.Provider, "error", err)
		}
	}
	return nil
}

func (a *attempt) stage(ctx context.Context, ex *backup.Export, checkpoint *blob.Checkpoint) (*blob.Content, error) {
	cfg := &a.w.cfg
	limit := a.provider.MaxSize
	if of := a.work.Backup.MaxSize; of > 0 && (limit == 0 || of < limit) {
		limit = of
	}
	if checkpoint != nil {
		a.stored = checkpoint.Offset
	}
	content, err := blob.Stage(ctx, a.w.store, a.work.Task.ObjectKey, ex.Body, &blob.UploadOptions{
		UploadID: a.work.UploadID, Token: a.work.Token,
		PartSize: cfg.PartSize, Concurrency: cfg.Concurrency, Buffers: a.w.buffers,
		Resume: checkpoint, Journal: a.journal, JournalBytes: cfg.JournalBytes, JournalInterval: cfg.JournalInterval,
		MaxSize: limit, StallTimeout: a.provider.StallTimeout, Cursor: ex.Cursor,
		Progress: a.held.received.Store,
	})
	if over := new(blob.LimitError); errors.As(err, &over) {
		what := "export"
		if limit != a.provider.MaxSize {
			what = "backup"
		}
		return nil, backup.TooLarge(what, over.Limit, a.size, over.Received)
	}
	if err == nil {
		a.count(content.Size)
	}
	return content, classifyStage(err)
}

// announceEvery is how often a task's stored parts make an event.
const announceEvery = time.Second

func (a *attempt) journal(ctx context.Context, c *blob.Checkpoint) error {
	ctx, cancel := a.w.bounded(ctx)
	defer cancel()
	at := now()
	announce := at.Sub(a.announced) >= announceEvery
	if announce {
		a.announced = at
	}
	if err := a.w.ledger.JournalTask(ctx, a.work, c, announce); err != nil {
		return inLedger(err)
	}
	a.count(c.Offset)
	if at.Sub(a.shown) >= showEvery {
		a.shown = at
		a.show(ctx, c)
	}
	return nil
}

// showEvery is how often a task's progress is written to its River job, which
// writes the whole job anew.
const showEvery = 10 * time.Second

// show writes the progress to the River job, where operators see it.
func (a *attempt) show(ctx context.Context, c *blob.Checkpoint) {
	out := progressOutput{StoredBytes: c.Offset, Object: a.work.Task.ObjectKey}
	if a.size >= 0 {
		out.AnnouncedSize = &a.size
	}
	client, err := river.ClientFromContextSafely[pgx.Tx](ctx)
	if err == nil {
		_, err = client.JobUpdate(ctx, a.jobID, &river.JobUpdateParams{Output: out})
	}
	if err != nil && ctx.Err() == nil {
		a.w.cfg.Logger.WarnContext(ctx, "show progress", "job", a.jobID, "error", err)
	}
}

// progressOutput is what operators see on the River job while it runs.
type progressOutput struct {
	StoredBytes   int64  `json:"stored_bytes"`
	AnnouncedSize *int64 `json:"announced_size,omitempty"`
	Object        string `json:"object"` // its key in the store, when it will be there
}

const tooManyHint = "use larger parts"

// classifyStage gives the engine's errors their class and hint.
func classifyStage(err error) error {
	var store *blob.StoreError
	var source *blob.SourceError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, blob.ErrTooManyParts):
		return backup.Permanent(err, tooManyHint)
	case errors.Is(err, blob.ErrCursor):
		return backup.Permanent(err, "this is a bug of the provider")
	case errors.Is(err, blob.ErrStalled):
		return backup.Retryable(err, "the source sends nothing; look at it")
	case errors.As(err, &store):
		return storeFailed(err)
	case errors.As(err, &source):
		return sourceFailed(err)
	default:
		return err
	}
}

// storeFailed classes an error of the store: it may want to be left alone, and have
// said how long.
func storeFailed(err error) error {
	var throttled *blob.ThrottledError
	if errors.As(err, &throttled) {
		return backup.RetryAfter(err, throttled.After, "the store limits requests: run fewer tasks at once, or raise the account's limits")
	}
	return backup.Retryable(err, "look at the store")
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
