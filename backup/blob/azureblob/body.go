package azureblob

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

var errDetached = errors.New("request has ended")

// body is the body of a request over memory that isn't ours. net/http may go on
// to read a body after the request has ended, when the answer came early or the
// context was canceled; detach puts an end to that.
type body struct {
	mu       sync.Mutex
	r        *bytes.Reader
	detached bool
}

var _ io.ReadSeekCloser = (*body)(nil)

func newBody(data []byte) *body { return &body{r: bytes.NewReader(data)} }

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.detached {
		return 0, errDetached
	}
	return b.r.Read(p)
}

func (b *body) Seek(offset int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.r.Seek(offset, whence)
}

func (b *body) Close() error { return nil }

// detach returns when nobody reads the memory any more. Nobody will again.
func (b *body) detach() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.detached = true
	b.r = bytes.NewReader(nil)
}
