package backuptest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"unicode"
	"unicode/utf8"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// marked is a body that asks for its export's cursor after each Read, as the
// engine does, and keeps one mark: the last up to wanted, or else the first.
type marked struct {
	io.ReadCloser
	b      *bench
	ex     *backup.Export
	wanted int64

	total  int64     // bytes of the whole export so far
	hash   hash.Hash // of them
	at     int64
	cursor string
	prefix hash.Hash // of the bytes before at
}

func newMarked(b *bench, ex *backup.Export, wanted int64) *marked {
	return &marked{ReadCloser: ex.Body, b: b, ex: ex, wanted: wanted, hash: sha256.New()}
}

func (m *marked) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	if n < 0 || n > len(p) || (err != nil && err != io.EOF) { // nothing else is the end
		return n, err
	}
	m.total += int64(n)
	_, _ = m.hash.Write(p[:n]) // a hash never fails
	c := m.ex.Cursor()
	if c == "" || m.total == 0 || (m.total > m.wanted && m.cursor != "") {
		return n, err
	}
	m.b.look("Cursor", errors.New(c))
	if bad := checkCursor(c); bad != nil {
		return n, bad
	}
	m.at, m.cursor = m.total, c
	m.prefix = clone(m.hash)
	return n, err
}

// clone is a hash in h's state, on its own from then on.
func clone(h hash.Hash) hash.Hash {
	if c, ok := h.(hash.Cloner); ok {
		if copied, err := c.Clone(); err == nil {
			return copied
		}
	}
	panic("backuptest: this SHA-256 can't be copied") // the standard library's can
}

func checkCursor(c string) error {
	switch {
	case len(c) > blob.MaxCursorLen:
		return fmt.Errorf("Cursor has %d bytes, more than %d", len(c), blob.MaxCursorLen)
	case !utf8.ValidString(c):
		return fmt.Errorf("Cursor %q is not UTF-8", c)
	}
	for _, r := range c {
		if unicode.IsControl(r) {
			return fmt.Errorf("Cursor %q has a control character", c)
		}
	}
	return nil
}

// checkResumeWithWrongCursor: with a cursor that isn't one, or is another place's,
// nothing is gone on with but what follows the offset. An error is fine, too.
func checkResumeWithWrongCursor(ctx context.Context, b *bench) error {
	first, err := b.whole(ctx, b.Request)
	if err != nil {
		return err
	}
	half, err := b.tear(ctx, first.size/2)
	if err != nil || half.cursor == "" {
		return err
	}
	end, err := b.tear(ctx, math.MaxInt64)
	if err != nil {
		return err
	}
	for _, wrong := range []string{"backuptest", spoil(half.cursor), end.cursor} {
		if wrong == half.cursor {
			continue // the export has only one mark
		}
		if err := b.wrongCursor(ctx, half, wrong); err != nil {
			return fmt.Errorf("with cursor %q instead of %q at %d: %w", wrong, half.cursor, half.at, err)
		}
	}
	return nil
}

func (b *bench) wrongCursor(ctx context.Context, t *torn, wrong string) error {
	req := b.Request
	req.Offset, req.Validator, req.Cursor = t.at, t.validator, wrong
	ex, err := b.provider.Export(ctx, &req)
	b.look("Export", err)
	if err != nil {
		return nil //nolint:nilerr // refused, as it may be
	}
	if err := b.close(ex); err != nil {
		return err
	}
	one := *t
	one.cursor, one.prefix = wrong, clone(t.prefix)
	var body *bodyError
	if _, err := b.goOn(ctx, &one); !errors.As(err, &body) {
		return err
	}
	return nil
}
