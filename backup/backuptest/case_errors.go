package backuptest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/sitebackup/sitebackup/backup"
)

// checkCutIsNoEnd: an export that broke off doesn't look like a whole one.
func checkCutIsNoEnd(ctx context.Context, b *bench) error {
	ex, err := b.export(ctx, *b.Cut)
	if err != nil {
		return err
	}
	return errors.Join(b.cut(ex), b.close(ex))
}

func (b *bench) cut(ex *backup.Export) error {
	h := sha256.New()
	n, err := b.read(ex.Body, h)
	if given := new(bodyError); errors.As(err, &given) {
		return nil
	}
	if err != nil {
		return err
	}
	if ex.Size >= 0 && n != ex.Size {
		return fmt.Errorf("Read returned io.EOF after %d of %d bytes: a body that was cut must end with another error", n, ex.Size)
	}
	proven, err := b.proof(ex, &copied{size: n, sum: h.Sum(nil)})
	if err == nil && proven {
		return fmt.Errorf("the source broke off, and %d bytes were given out as its whole export", n)
	}
	return nil
}

// checkRefusals: what can't be exported fails at once, with its class.
func checkRefusals(ctx context.Context, b *bench) error {
	for _, r := range b.Refusals {
		if err := b.refusal(ctx, r); err != nil {
			return fmt.Errorf("%s: %w", r.Name, err)
		}
	}
	return nil
}

func (b *bench) refusal(ctx context.Context, r Refusal) error {
	req := fill(r.Request)
	ex, err := b.provider.Export(ctx, &req)
	b.look("Export", err)
	switch {
	case err == nil && (ex == nil || ex.Body == nil):
		return errors.New("Export returned neither an error nor a body")
	case err == nil:
		return errors.Join(errors.New("Export returned no error"), b.close(ex))
	}
	if got := backup.Classify(err).Class; r.Class != "" && got != r.Class {
		return fmt.Errorf("Export's error is %s, not %s: %w", got, r.Class, err)
	}
	return nil
}
