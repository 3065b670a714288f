package azureblob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// Stat is Get Blob Properties.
func (s *Store) Stat(ctx context.Context, key string) (*blob.Object, error) {
	obj, err := s.stat(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("stat %q: %w", key, err)
	}
	return obj, nil
}

func (s *Store) stat(ctx context.Context, key string) (*blob.Object, error) {
	if err := begin(ctx, key); err != nil {
		return nil, err
	}
	bounded, cancel := s.opts.forOp(ctx)
	defer cancel()
	p, err := s.blob(key).GetProperties(bounded, nil)
	if err != nil {
		return nil, firstCause(ctx, explain(err))
	}
	return &blob.Object{
		Key:          key,
		Size:         orZero(p.ContentLength),
		LastModified: orZero(p.LastModified),
		Info:         blob.Info{ContentType: orZero(p.ContentType), Metadata: metadata(p.Metadata)},
	}, nil
}

func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// metadata lower-cases the keys: they come back as HTTP headers, capitalised.
func metadata(m map[string]*string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[strings.ToLower(k)] = orZero(v)
	}
	return out
}

// Open is Get Blob. A connection that breaks is replaced, up to three times in
// one Read.
func (s *Store) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	r, err := s.open(ctx, key, offset, length)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", key, err)
	}
	return r, nil
}

func (s *Store) open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := begin(ctx, key); err != nil {
		return nil, err
	}
	if offset < 0 || length < -1 {
		return nil, fmt.Errorf("range of %d bytes at %d is impossible", length, offset)
	}
	if length == 0 { // no range that HTTP could ask for
		return s.openNothing(ctx, key, offset)
	}
	r, err := s.download(ctx, key, offset, length)
	if errors.Is(err, errRange) {
		if length > 0 {
			return nil, io.ErrUnexpectedEOF
		}
		return s.openNothing(ctx, key, offset)
	}
	return r, err
}

// openNothing opens an empty range.
func (s *Store) openNothing(ctx context.Context, key string, offset int64) (io.ReadCloser, error) {
	obj, err := s.stat(ctx, key)
	if err != nil {
		return nil, err
	}
	if offset > obj.Size {
		return nil, io.ErrUnexpectedEOF
	}
	return io.NopCloser(bytes.NewReader(nil)), nil
}

var errNoAnswer = errors.New("no answer in time")

// download sends the request. Only until the answer comes is there a deadline.
func (s *Store) download(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	within, cancel := context.WithCancelCause(ctx)
	deadline := time.AfterFunc(s.opts.OpTimeout, func() { cancel(errNoAnswer) })
	within = s.opts.retries(within, s.opts.OpTimeout, 0)
	resp, err := s.client.NewBlobClient(key).DownloadStream(within, &azblob.DownloadStreamOptions{
		Range: azblob.HTTPRange{Offset: offset, Count: max(length, 0)},
	})
	if !deadline.Stop() && err == nil {
		_ = resp.Body.Close()
		err = errNoAnswer
	}
	if err != nil {
		cause := firstCause(within, explain(err))
		cancel(nil)
		return nil, cause
	}
	left := length
	if left < 0 && resp.ContentLength != nil {
		left = *resp.ContentLength
	}
	if left < 0 {
		_ = resp.Body.Close()
		cancel(nil)
		return nil, errors.New("the answer has no length: something between changes it")
	}
	return &ranged{ctx: within, cancel: cancel, body: resp.NewRetryReader(within, nil), left: left, stall: s.opts.OpTimeout}, nil
}

// ranged is the body of a range. It ends with io.EOF only when all of it came.
type ranged struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	body   io.ReadCloser
	left   int64
	stall  time.Duration // the longest that a Read may take
}

func (r *ranged) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	defer time.AfterFunc(r.stall, func() { r.cancel(errNoAnswer) }).Stop()
	n, err := r.body.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	switch { // an error that only wraps io.EOF is a connection that broke
	case err == nil:
		return n, nil
	case err == io.EOF && r.left == 0:
		return n, io.EOF
	case err == io.EOF:
		return n, io.ErrUnexpectedEOF
	default:
		return n, firstCause(r.ctx, explain(err))
	}
}

func (r *ranged) Close() error {
	err := r.body.Close()
	r.cancel(nil)
	return err
}
