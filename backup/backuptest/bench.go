package backuptest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"slices"
	"strings"
	"sync"

	"github.com/sitebackup/sitebackup/backup"
)

// bench is what a check works with.
type bench struct {
	*Options
	provider backup.Provider

	mu   sync.Mutex
	leak error
}

// copied is an export that was read to its proven end.
type copied struct {
	offset    int64 // where the body started
	size      int64 // of the whole export
	sum       []byte
	validator string
}

// export calls Export and checks what it returned.
func (b *bench) export(ctx context.Context, req backup.ExportRequest) (*backup.Export, error) {
	asked := req
	ex, err := b.provider.Export(ctx, &req)
	b.look("Export", err)
	if err != nil {
		return nil, fmt.Errorf("Export: %w", err)
	}
	if ex == nil || ex.Body == nil {
		return nil, errors.New("Export returned neither an error nor a body")
	}
	b.look("Validator", errors.New(ex.Validator))
	b.look("ContentType", errors.New(ex.ContentType))
	if err := checkForm(ex, asked.Offset); err != nil {
		return nil, errors.Join(err, b.close(ex))
	}
	return ex, nil
}

func checkForm(ex *backup.Export, asked int64) error {
	switch {
	case ex.Offset != 0 && ex.Offset != asked:
		return fmt.Errorf("Offset is %d, but %d was asked for: it must be that, or 0", ex.Offset, asked)
	case ex.Size < -1:
		return fmt.Errorf("Size is %d: it must be the whole export's, or -1", ex.Size)
	}
	if ex.ContentType == "" {
		return nil
	}
	if _, _, err := mime.ParseMediaType(ex.ContentType); err != nil {
		return fmt.Errorf("ContentType %q is no media type: %w", ex.ContentType, err)
	}
	return nil
}

// close closes the body, which has to happen soon.
func (b *bench) close(ex *backup.Export) error {
	return within(b.Soon, "Close", func() error {
		err := ex.Body.Close()
		b.look("Close", err)
		return nil // what a body says when it is closed early is its own affair
	})
}

// copy reads an export to its end and checks all that must hold of it. Prefix is
// a hash of the bytes before an offset that is asked for, or nil. Each Read gets
// a buffer of the next of the sizes.
func (b *bench) copy(ctx context.Context, req backup.ExportRequest, prefix hash.Hash, sizes ...int) (*copied, error) {
	ex, err := b.export(ctx, req)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	if ex.Offset > 0 {
		h = prefix
	}
	c, err := b.copyBody(ex, h, io.Discard, sizes...)
	return c, errors.Join(err, b.close(ex))
}

// copyBody reads a body to its end. What it gives goes to h, a hash of the whole
// export, and to also.
func (b *bench) copyBody(ex *backup.Export, h hash.Hash, also io.Writer, sizes ...int) (*copied, error) {
	n, err := b.read(ex.Body, io.MultiWriter(h, also), sizes...)
	if err != nil {
		return nil, fmt.Errorf("read at %d: %w", ex.Offset+n, err)
	}
	c := &copied{offset: ex.Offset, size: ex.Offset + n, sum: h.Sum(nil), validator: ex.Validator}
	if ex.Size >= 0 && ex.Size != c.size {
		return nil, fmt.Errorf("Size is %d, and the whole export has %d bytes", ex.Size, c.size)
	}
	if c.size == 0 && !b.AllowEmpty {
		return nil, errors.New("the export is empty, and Options.AllowEmpty is false")
	}
	proven, err := b.proof(ex, c)
	if err == nil && !proven && !b.AllowUnproven {
		err = errors.New("nothing proves the end: no Size, no digest, no framing; and Options.AllowUnproven is false")
	}
	return c, err
}

const (
	// emptyReads is how often a body may say nothing in a row. The engine has the
	// same limit.
	emptyReads = 100

	// readSize is no round number, so that a provider's own buffers don't fit.
	readSize = 32<<10 + 7
)

// read reads body up to io.EOF.
func (b *bench) read(body io.Reader, w io.Writer, sizes ...int) (total int64, err error) {
	buf := make([]byte, max(readSize, slices.Max(append(sizes, 0))))
	for i, empty := 0, 0; ; i++ {
		p := buf[:readSize]
		if len(sizes) > 0 {
			p = buf[:sizes[i%len(sizes)]]
		}
		n, err := body.Read(p)
		b.look("Read", err)
		if n < 0 || n > len(p) {
			return total, fmt.Errorf("Read returned %d for a buffer of %d bytes", n, len(p))
		}
		if _, err := w.Write(p[:n]); err != nil {
			return total, err
		}
		total += int64(n)
		if empty++; n > 0 {
			empty = 0
		}
		switch {
		case err == io.EOF: // nothing else is the end
			return total, nil
		case errors.Is(err, io.EOF):
			return total, fmt.Errorf("Read's error wraps io.EOF, which some take for the end: %w", err)
		case err != nil:
			return total, &bodyError{err}
		case empty >= emptyReads:
			return total, fmt.Errorf("Read returned no bytes and no error %d times in a row", empty)
		}
	}
}

// bodyError is an error that a body gave, as it may.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "Read: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// proof reports whether something proves the end of an export that was read.
func (b *bench) proof(ex *backup.Export, c *copied) (bool, error) {
	var end backup.End
	if ex.End != nil {
		var err error
		end, err = ex.End()
		b.look("End", err)
		if err != nil {
			return false, fmt.Errorf("End: %w", err)
		}
	}
	switch {
	case end.SHA256 != nil && len(end.SHA256) != sha256.Size:
		return false, fmt.Errorf("End.SHA256 has %d bytes, not 32", len(end.SHA256))
	case end.SHA256 != nil && !bytes.Equal(end.SHA256, c.sum):
		return false, fmt.Errorf("End.SHA256 is %x, and that of the whole export is %x", end.SHA256, c.sum)
	case end.DigestChecked && ex.Offset > 0:
		return false, errors.New("End.DigestChecked is true, but the body was not the whole export")
	}
	return ex.Size >= 0 || end.SHA256 != nil || end.DigestChecked || end.Framed, nil
}

// look notes where a secret is in what the provider said.
func (b *bench) look(where string, err error) {
	if err == nil {
		return
	}
	text := err.Error() + " " + backup.Classify(err).Hint
	for i, secret := range b.Secrets {
		if secret != "" && strings.Contains(text, secret) {
			b.mu.Lock()
			b.leak = fmt.Errorf("what %s returned has Options.Secrets[%d] in it", where, i)
			b.mu.Unlock()
		}
	}
}

func (b *bench) leaked() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.leak
}
