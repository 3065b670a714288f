package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"os"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi/client"
)

// partSuffix is that of a file that isn't whole yet.
const partSuffix = ".part"

// download is that of one export.
type download struct {
	client *client.Client
	id     string
	object *backup.ManifestObject
	path   string
	show   func(int64)

	file *os.File
	sum  hash.Hash
	have int64 // bytes in file, and in sum
}

func (d *download) run(ctx context.Context) error {
	if whole, err := d.there(ctx); whole || err != nil {
		return err
	}
	resumed, err := d.open(ctx)
	if err != nil {
		return err
	}
	err = d.fetch(ctx)
	if err == nil && resumed && !d.right() {
		// What was there was of something else: once more, from the first byte.
		if err = d.reset(); err == nil {
			err = d.fetch(ctx)
		}
	}
	if err == nil && !d.right() {
		err = fmt.Errorf("%w: its SHA-256 is %x, and the manifest says %s", ErrDamaged, d.sum.Sum(nil), d.object.SHA256)
		err = errors.Join(err, d.file.Truncate(0))
	}
	err = errors.Join(err, d.file.Sync(), d.file.Close())
	if err != nil {
		return err
	}
	return os.Rename(d.path+partSuffix, d.path)
}

func (d *download) right() bool {
	return d.have == d.object.Size && hex.EncodeToString(d.sum.Sum(nil)) == d.object.SHA256
}

// there reports whether the file is there already, and right. Where there is none,
// have is -1.
func (d *download) there(ctx context.Context) (bool, error) {
	f, err := os.Open(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		d.have = -1
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // it was only read
	d.sum, d.have = sha256.New(), 0
	if err := d.read(ctx, f); err != nil {
		return false, err
	}
	return d.right(), nil
}

// open opens what there is of the file, and hashes it.
func (d *download) open(ctx context.Context) (resumed bool, err error) {
	d.file, err = os.OpenFile(d.path+partSuffix, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false, err
	}
	d.sum, d.have = sha256.New(), 0
	if err = d.read(ctx, d.file); err == nil && d.have > d.object.Size {
		err = d.reset()
	}
	if err != nil {
		return false, errors.Join(err, d.file.Close())
	}
	return d.have > 0, nil
}

func (d *download) reset() error {
	d.sum, d.have = sha256.New(), 0
	_, err := d.file.Seek(0, io.SeekStart)
	return local(errors.Join(err, d.file.Truncate(0)))
}

// read hashes all of r.
func (d *download) read(ctx context.Context, r io.Reader) error {
	_, err := io.Copy(d, contextReader{ctx, r})
	return err
}

// Write hashes what is there, and counts it.
func (d *download) Write(p []byte) (int, error) {
	_, _ = d.sum.Write(p) // it never fails
	d.have += int64(len(p))
	d.show(d.have)
	return len(p), nil
}

// fetch gets what is missing. It goes on as long as the transfer does, however
// often it breaks off.
func (d *download) fetch(ctx context.Context) error {
	for failures := 0; ; {
		before := d.have
		err := d.request(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if d.have > before {
			failures = 0
		}
		if failures++; failures == tries || !Passing(err) {
			return err
		}
		if err := wait(ctx, pauseAfter(err, failures)); err != nil {
			return err
		}
	}
}

func (d *download) request(ctx context.Context) error {
	if d.have == d.object.Size && d.have > 0 {
		return nil
	}
	params := &client.GetTaskContentParams{}
	if d.have > 0 {
		params.Range = new(fmt.Sprintf("bytes=%d-", d.have))
		params.IfRange = new(`"` + d.object.SHA256 + `"`) // the API's strong ETag
	}
	res, err := client.Open(d.client.GetTaskContent(ctx, d.id, d.object.Provider, params))
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusPartialContent && d.have > 0 {
		if err := d.reset(); err != nil {
			return err
		}
	}
	// A byte more than there should be is enough to see that it is wrong.
	body := io.LimitReader(res.Body, d.object.Size-d.have+1)
	if _, err := io.Copy(io.MultiWriter(diskWriter{d.file}, d), body); err != nil {
		return err
	}
	if d.have != d.object.Size {
		return fmt.Errorf("%w: the export has %d bytes, and the manifest says %d", ErrDamaged, d.have, d.object.Size)
	}
	return nil
}

// diskWriter says of its errors that they are this machine's.
type diskWriter struct{ f *os.File }

func (w diskWriter) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	return n, local(err)
}

type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.Reader.Read(p)
}
