package httpexport

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/sitebackup/sitebackup/backup"
)

// body is an export's body: it counts and hashes what is read, and tells the
// true end from all others.
type body struct {
	resp   *http.Response
	digest *digester
	left   int64 // bytes of the whole body, or -1 if nobody said
	framed bool  // the response's own framing has an end mark
	open   bool  // a part that isn't the export's last, or need not be: nobody said
	read   int64
	err    error // what ended the body; it stays
}

// isFramed reports whether the end of a response's body is marked by its framing
// itself. net/http returns io.EOF for an HTTP/1.1 chunked body only after the
// terminal chunk, and for a later version only after END_STREAM; but for a
// body without chunks and length also when the connection ends.
func isFramed(resp *http.Response) bool {
	return resp.ProtoMajor >= 2 || len(resp.TransferEncoding) > 0 && resp.TransferEncoding[0] == "chunked"
}

// Read returns io.EOF at the true end, and an error that doesn't match it
// wherever else the body ends.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.resp.Body.Read(p)
	_, _ = b.digest.Write(p[:n])
	b.read += int64(n)
	switch {
	case b.left >= 0 && b.read > b.left:
		// Who sends more than the part that was asked for may have sent another one.
		n -= int(b.read - b.left)
		b.err = b.fail(fmt.Errorf("%w: %d bytes were announced, and more came", backup.ErrRefuted, b.left))
	case err == io.EOF && (b.open || b.read < b.left):
		b.err = b.fail(b.early())
	case err == io.EOF:
		b.err = io.EOF
	case err != nil:
		b.err = b.fail(safe(err))
	}
	return n, b.err
}

// early is the error of a response that ended before the export. If all of it came,
// its digests are compared: who goes on behind it never sees them again.
func (b *body) early() error {
	if n := b.resp.ContentLength; n == b.read || n < 0 && b.framed {
		if _, err := b.digest.end(); err != nil {
			return fmt.Errorf("%w: %w", backup.ErrRefuted, err)
		}
	}
	if b.open && b.read == b.left {
		return fmt.Errorf("a part ended, and the export goes on or nobody said: %w", io.ErrUnexpectedEOF)
	}
	return io.ErrUnexpectedEOF
}

func (b *body) fail(err error) error {
	err = fmt.Errorf("%s: after %d bytes of the body: %w", describe(b.resp.Request), b.read, err)
	hint := "The source broke the export off: look at its logs, and at gateways between."
	if errors.Is(err, backup.ErrRefuted) {
		hint = "The source sent another part than it said: mend how it answers Range, or set NoResume."
	}
	return backup.Retryable(err, hint)
}

// Close closes the response.
func (b *body) Close() error { return b.resp.Body.Close() }

// end is Export.End.
func (b *body) end() (backup.End, error) {
	if b.err != io.EOF { //nolint:errorlint // only io.EOF itself is the end
		return backup.End{}, errors.New("end export: the body was not read to its end")
	}
	v, err := b.digest.end()
	if err != nil {
		err = fmt.Errorf("%s: %w", describe(b.resp.Request), err)
		return backup.End{}, backup.Retryable(err, "The bytes were changed on their way, or the source computes its digest wrongly.")
	}
	return backup.End{Framed: b.framed, DigestChecked: v.checked, SHA256: v.sha256}, nil
}
