package blob

import (
	"context"
	"fmt"
	"io"
	"math"
	"runtime/debug"
	"sync"
	"time"
)

// maxEmptyReads is how often Read may return nothing, and no error, in a row.
const maxEmptyReads = 100

// source reads a body with a size limit and a watch on stalls. One goroutine
// reads it.
type source struct {
	ctx      context.Context // the upload's, for as long as it reads
	body     io.ReadCloser
	closing  sync.Once
	panicked error       // by the body's Close
	unwatch  func() bool // ends the watch on ctx
	received int64       // bytes of the whole stream
	limit    int64       // received never exceeds it by more than one
	stall    *time.Timer // closes the body; nil: no stall timeout
	timeout  time.Duration
	waited   time.Duration // in Reads, since the last one that brought something
	progress func(received int64)
	marks    marks
	crc      func(sum uint64, data []byte) uint64
	sum      uint64 // of what fill has read
}

// newSource begins to read body, which is the stream from offset on. When ctx
// ends the body is closed, so that a Read that waits returns.
func newSource(ctx context.Context, body io.ReadCloser, offset int64, o *UploadOptions, crc func(uint64, []byte) uint64) *source {
	s := &source{
		ctx: ctx, body: body, received: offset,
		limit: math.MaxInt64 - 1, timeout: o.StallTimeout, progress: o.Progress, crc: crc,
		marks: marks{cursor: o.Cursor, last: o.Resume.Cursor, at: offset},
	}
	if o.MaxSize > 0 {
		s.limit = o.MaxSize
	}
	s.unwatch = context.AfterFunc(ctx, s.closeBody)
	if s.timeout > 0 {
		s.stall = time.AfterFunc(math.MaxInt64, s.closeBody)
	}
	return s
}

// close closes the body. When it returns, nothing of the source runs any more.
func (s *source) close() {
	s.unwatch()
	if s.stall != nil {
		s.stall.Stop()
	}
	s.closeBody()
}

// closeBody closes the body once and waits until it is closed. What Close says
// is of no use: the stream's end, or the error, was seen before.
//
// It runs on goroutines of timers and contexts, too, where a panic would end the
// process: run makes it the caller's.
func (s *source) closeBody() {
	s.closing.Do(func() {
		defer func() {
			if p := recover(); p != nil {
				s.panicked = fmt.Errorf("closing the body has panicked: %v\n\n%s", p, debug.Stack())
			}
		}()
		_ = s.body.Close()
	})
}

// fill reads until p is full, or until a mark that is a good place to end it. It
// returns how much was read, together with io.EOF at the end of the stream and
// any other error that ended it. The context's cause comes first: a body that was
// closed for it may say anything, io.EOF too.
//
// sum is the checksum of what was read. It is made of each piece that has just come,
// since that is in the processor's cache then; a whole part isn't any more.
func (s *source) fill(p []byte) (int, error) {
	n, empty := 0, 0
	s.sum = 0
	for n < len(p) {
		m, err := s.read(p[n:])
		s.sum = s.crc(s.sum, p[n:n+m])
		n += m
		if s.ctx.Err() != nil {
			return n, context.Cause(s.ctx)
		}
		if empty++; m > 0 {
			empty = 0
		}
		switch {
		case s.received > s.limit:
			return n, &LimitError{Limit: s.limit, Received: s.received}
		case err == io.EOF: //nolint:errorlint // an error that wraps io.EOF is a cut stream
			return n, io.EOF
		case err == nil && empty >= maxEmptyReads:
			err = io.ErrNoProgress
		}
		if err != nil {
			return n, &SourceError{Offset: s.received, Err: err}
		}
		if s.marks.ends(s.received, len(p), n) {
			return n, nil
		}
	}
	return n, nil
}

// read calls the body's Read once, under the watch.
func (s *source) read(p []byte) (int, error) {
	if most := s.limit - s.received + 1; int64(len(p)) > most {
		p = p[:most]
	}
	began := now()
	if s.stall != nil {
		s.stall.Reset(s.timeout - s.waited)
	}
	n, err := s.body.Read(p)
	s.waited += now().Sub(began)
	if s.stall != nil && !s.stall.Stop() {
		// The body was closed under its Read, so that its error means nothing.
		err = ErrStalled
	}
	if n < 0 || n > len(p) {
		return 0, fmt.Errorf("body returned an impossible count of %d bytes for a buffer of %d", n, len(p))
	}
	s.received += int64(n)
	if n > 0 {
		s.waited = 0
	}
	if n > 0 && s.progress != nil {
		s.progress(s.received)
	}
	if err == nil || err == io.EOF { //nolint:errorlint // see fill
		if bad := s.marks.look(s.received); bad != nil {
			err = bad
		}
	}
	return n, err
}
