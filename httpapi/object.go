package httpapi

import (
	"context"
	"errors"
	"io"
	"mime"
	"time"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// objectReader reads an object of the store as http.ServeContent wants it. It
// holds no more of it than the caller's buffer.
type objectReader struct {
	ctx   context.Context // of the request
	store blob.Store
	key   string
	size  int64
	stall time.Duration // the longest that a Read may take

	offset int64
	body   io.ReadCloser
	cancel context.CancelFunc
	err    error // of the store
}

// errLength means that the object isn't as long as it was when it was stored.
var errLength = errors.New("the object has another length")

// begin opens length bytes from where Seek has gone. Where that is none it looks
// whether the object is there.
func (o *objectReader) begin(length int64) error {
	ctx, cancel := context.WithCancel(o.ctx)
	o.cancel = cancel
	defer time.AfterFunc(o.stall, cancel).Stop()
	if length == 0 {
		info, err := o.store.Stat(ctx, o.key)
		if err == nil && info.Size != o.size {
			err = errLength
		}
		return err
	}
	body, err := o.store.Open(ctx, o.key, o.offset, length)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errLength
	}
	o.body = body
	return err
}

// Read is io.Reader's.
func (o *objectReader) Read(p []byte) (int, error) {
	if o.body == nil {
		return 0, io.EOF
	}
	timer := time.AfterFunc(o.stall, o.cancel)
	n, err := o.body.Read(p)
	timer.Stop()
	if err != nil && err != io.EOF { // one that only wraps io.EOF is a connection that broke
		o.err = err
	}
	return n, err
}

// Seek is io.Seeker's. It asks the store nothing.
func (o *objectReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += o.offset
	case io.SeekEnd:
		offset += o.size
	}
	o.offset = offset
	return offset, nil
}

func (o *objectReader) close() {
	if o.body != nil {
		_ = o.body.Close() // whatever it says, it was read
	}
	if o.cancel != nil {
		o.cancel()
	}
}

func mediaType(contentType string) string {
	media, _, _ := mime.ParseMediaType(contentType) // "" for what is none
	return media
}
