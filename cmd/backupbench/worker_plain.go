package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"golang.org/x/sync/errgroup"
)

// discard reads the export: the floor of everything that reads it.
func (c *workerCmd) discard(ctx context.Context) ([]byte, error) {
	return nil, c.copyTo(ctx, io.Discard)
}

// file writes the export to a file, and doesn't wait for the disk.
func (c *workerCmd) file(ctx context.Context) (_ []byte, err error) {
	path := filepath.Join(c.Dir, c.Name)
	f, err := os.Create(path) //nolint:gosec // the parent has made the directory
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(path)) }()
	return nil, c.copyTo(ctx, f)
}

// copyTo copies with a buffer that is large enough to take what has arrived at once.
// io.Copy's own would cost more than the rest.
func (c *workerCmd) copyTo(ctx context.Context, w io.Writer) error {
	body, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, body, make([]byte, mib))
	if err == nil && n != int64(c.Size) {
		err = fmt.Errorf("%d bytes came", n)
	}
	return err
}

// sha256 hashes the export's bytes from memory: what nobody who wants to know the digest can
// save.
func (c *workerCmd) sha256(context.Context) ([]byte, error) {
	h := sha256.New()
	err := pieces(0, int64(c.Size), func(p []byte) error {
		_, err := h.Write(p)
		return err
	})
	return h.Sum(nil), err
}

// unhashed uploads the export in blocks with the SDK and nothing else: no checksum, no journal,
// no proof, no retry of ours. It has as many buffers as the engine, and its transport.
func (c *workerCmd) unhashed(ctx context.Context) ([]byte, error) {
	client, err := c.container()
	if err != nil {
		return nil, err
	}
	blob := client.NewBlockBlobClient("unhashed/" + c.Name)
	body, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	buffers := make(chan []byte, c.Concurrency+1)
	for range cap(buffers) {
		buffers <- make([]byte, c.Part)
	}
	staging, sctx := errgroup.WithContext(ctx)
	staging.SetLimit(c.Concurrency)
	var ids []string
	for left := int64(c.Size); left > 0; {
		buf := <-buffers
		part := buf[:min(left, int64(len(buf)))]
		if _, err := io.ReadFull(body, part); err != nil {
			return nil, errors.Join(err, staging.Wait())
		}
		left -= int64(len(part))
		id := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%020d", len(ids)))
		ids = append(ids, id)
		staging.Go(func() error {
			defer func() { buffers <- buf }()
			_, err := blob.StageBlock(sctx, id, streaming.NopCloser(bytes.NewReader(part)), nil)
			return err
		})
	}
	if err := staging.Wait(); err != nil {
		return nil, err
	}
	_, err = blob.CommitBlockList(ctx, ids, nil)
	return nil, err
}
