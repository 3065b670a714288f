package backuptest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"

	"github.com/sitebackup/sitebackup/backup"
)

// torn is an export as an attempt knows it that stopped behind its first at
// bytes; and what would have followed.
type torn struct {
	*copied
	at     int64
	cursor string
	prefix hash.Hash // of the bytes before at
}

// head passes on the first bytes that are written to it.
type head struct {
	hash.Hash
	left int64
}

func (w *head) Write(p []byte) (int, error) {
	first := p[:min(int64(len(p)), w.left)]
	w.left -= int64(len(first))
	_, _ = w.Hash.Write(first) // a hash never fails
	return len(p), nil
}

// tear reads an export, and keeps what it takes to go on behind at, or behind
// its end where that comes first. One with a cursor goes on at a mark, and that
// is the last one up to there, or else the first.
func (b *bench) tear(ctx context.Context, at int64) (*torn, error) {
	ex, err := b.export(ctx, b.Request)
	if err != nil {
		return nil, err
	}
	if ex.Cursor != nil {
		return b.tearAtMark(ex, at)
	}
	prefix := &head{sha256.New(), at}
	c, err := b.copyBody(ex, sha256.New(), prefix)
	if err := errors.Join(err, b.close(ex)); err != nil {
		return nil, err
	}
	return &torn{c, min(at, c.size), "", prefix.Hash}, nil
}

func (b *bench) tearAtMark(ex *backup.Export, at int64) (*torn, error) {
	m := newMarked(b, ex, at)
	one := *ex
	one.Body = m
	c, err := b.copyBody(&one, sha256.New(), io.Discard)
	if err := errors.Join(err, b.close(ex)); err != nil {
		return nil, err
	}
	return &torn{c, m.at, m.cursor, m.prefix}, nil
}

// goOn asks for what follows t, and checks that the two make one export.
func (b *bench) goOn(ctx context.Context, t *torn) (*copied, error) {
	req := b.Request
	req.Offset, req.Validator, req.Cursor = t.at, t.validator, t.cursor
	c, err := b.copy(ctx, req, t.prefix)
	switch {
	case err != nil:
		return nil, fmt.Errorf("resume at %d of %d: %w", t.at, t.size, err)
	case c.offset == 0:
		return c, b.same(t.copied, c)
	case !bytes.Equal(c.sum, t.sum):
		return nil, fmt.Errorf("resume at %d of %d: what came is not what follows: together %d bytes %.8x, not %.8x", t.at, t.size, c.size, c.sum, t.sum)
	}
	return c, nil
}

// checkResume: behind an offset comes, byte for byte, what followed it the
// first time; or the whole.
func checkResume(ctx context.Context, b *bench) error {
	first, err := b.whole(ctx, b.Request)
	if err != nil {
		return err
	}
	for _, at := range []int64{1, first.size / 2, first.size - 1} {
		if err := b.resume(ctx, max(at, 1)); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) resume(ctx context.Context, at int64) error {
	t, err := b.tear(ctx, at)
	if err != nil {
		return err
	}
	if b.Resumes && t.validator == "" && t.cursor == "" {
		return errors.New("the export has no Validator, and no Cursor; and Options.Resumes is true")
	}
	c, err := b.goOn(ctx, t)
	if err != nil {
		return err
	}
	if b.Resumes && c.offset == 0 {
		return fmt.Errorf("asked for what follows byte %d of %d, with the right validator, it started over; and Options.Resumes is true", t.at, t.size)
	}
	return nil
}

// checkResumeAtTheEnd: when all bytes were stored and only the end wasn't seen,
// nothing comes, proven to be the end; or the whole.
func checkResumeAtTheEnd(ctx context.Context, b *bench) error {
	t, err := b.tear(ctx, math.MaxInt64)
	if err != nil {
		return err
	}
	_, err = b.goOn(ctx, t)
	return err
}

// checkResumeWithWrongValidator: bytes of another export are never gone on with.
func checkResumeWithWrongValidator(ctx context.Context, b *bench) error {
	first, err := b.whole(ctx, b.Request)
	if err != nil {
		return err
	}
	for _, wrong := range []string{`"backuptest"`, spoil(first.validator)} {
		if err := b.startsOver(ctx, first, wrong); err != nil {
			return fmt.Errorf("with validator %q instead of %q: %w", wrong, first.validator, err)
		}
	}
	return nil
}

// checkResumeWithoutValidator: neither are those of which nothing is known.
func checkResumeWithoutValidator(ctx context.Context, b *bench) error {
	first, err := b.whole(ctx, b.Request)
	if err != nil {
		return err
	}
	if err := b.startsOver(ctx, first, ""); err != nil {
		return fmt.Errorf("without a validator: %w", err)
	}
	return nil
}

// startsOver checks that a request with this validator gives the whole export.
func (b *bench) startsOver(ctx context.Context, first *copied, validator string) error {
	req := b.Request
	req.Offset, req.Validator = max(first.size/2, 1), validator
	ex, err := b.export(ctx, req)
	if err != nil {
		return err
	}
	if ex.Offset > 0 {
		return errors.Join(fmt.Errorf("it went on at %d, and must start over", ex.Offset), b.close(ex))
	}
	c, err := b.copyBody(ex, sha256.New(), io.Discard)
	if err := errors.Join(err, b.close(ex)); err != nil {
		return err
	}
	return b.same(first, c)
}

// spoil changes a validator, and as little of its form as possible.
func spoil(validator string) string {
	s := []byte(validator)
	for i := len(s) - 1; i >= 0; i-- {
		switch c := s[i]; {
		case '0' <= c && c < '9', 'a' <= c && c < 'z', 'A' <= c && c < 'Z':
			s[i]++
			return string(s)
		case c == '9', c == 'z', c == 'Z':
			s[i]--
			return string(s)
		}
	}
	return validator + "x"
}
