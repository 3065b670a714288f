package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// readTimeout is how long the store may take to open an object, and then for each
// Read of it.
const readTimeout = 2 * time.Minute

var errStoreStalled = errors.New("the store sends nothing")

// openBounded opens a range of an object so that neither that nor a Read of it takes
// longer than timeout, whatever the store does for itself.
func openBounded(ctx context.Context, store blob.Store, key string, offset, length int64, timeout time.Duration) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	b := &boundedBody{ctx: ctx, cancel: cancel, timeout: timeout}
	defer b.watch().Stop()
	var err error
	if b.ReadCloser, err = store.Open(ctx, key, offset, length); err != nil {
		err = b.explain(err)
		cancel(nil)
		return nil, err
	}
	return b, nil
}

type boundedBody struct {
	io.ReadCloser

	ctx     context.Context //nolint:containedctx // of the body, until it is closed
	cancel  context.CancelCauseFunc
	timeout time.Duration
}

func (b *boundedBody) watch() *time.Timer {
	return time.AfterFunc(b.timeout, func() { b.cancel(errStoreStalled) })
}

func (b *boundedBody) explain(err error) error {
	if errors.Is(context.Cause(b.ctx), errStoreStalled) {
		return fmt.Errorf("%w for %s", errStoreStalled, b.timeout)
	}
	return err
}

func (b *boundedBody) Read(p []byte) (int, error) {
	defer b.watch().Stop()
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // an error that wraps io.EOF is a cut
		err = b.explain(err)
	}
	return n, err
}

func (b *boundedBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
