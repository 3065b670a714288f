// Command memory uploads zeros to a store that keeps nothing, and prints by how
// many bytes the process has grown at most. Only a process of its own, without
// the race detector, can tell that. Linux only.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// settings are those of the uploads, which are all alike.
type settings struct {
	tasks       int
	size        int64 // bytes to upload by each task
	partSize    int64
	concurrency int
	budget      int64
	from        int   // parts that were staged before
	page        int64 // 0: a source without a cursor
}

func main() {
	var s settings
	flag.IntVar(&s.tasks, "tasks", 1, "uploads at once")
	flag.Int64Var(&s.size, "size", 1<<30, "bytes of each upload")
	flag.Int64Var(&s.partSize, "part", 8<<20, "size of the first parts in bytes")
	flag.IntVar(&s.concurrency, "concurrency", 4, "parts staged at once")
	flag.Int64Var(&s.budget, "budget", 0, "most bytes of buffers; 0: no limit")
	flag.IntVar(&s.from, "from", 0, "number of parts that were staged before")
	flag.Int64Var(&s.page, "page", 0, "size of the source's pages in bytes; 0: none")
	flag.Parse()
	growth, err := s.measure(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, "memory:", err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stdout, growth)
}

func (s *settings) measure(ctx context.Context) (growth int64, err error) {
	idle, err := resident("VmRSS:")
	if err != nil {
		return 0, err
	}
	buffers := blob.NewBuffers(s.budget)
	uploads, ctx := errgroup.WithContext(ctx)
	for i := range s.tasks {
		uploads.Go(func() error { return s.upload(ctx, fmt.Sprint("upload", i), buffers) })
	}
	if err := uploads.Wait(); err != nil {
		return 0, err
	}
	peak, err := resident("VmHWM:")
	return peak - idle, err
}

func (s *settings) upload(ctx context.Context, key string, buffers *blob.Buffers) error {
	resume, err := s.checkpoint()
	if err != nil {
		return err
	}
	source := &zeros{left: s.size, page: s.page}
	o := &blob.UploadOptions{
		UploadID: uploadID, Token: token, PartSize: s.partSize, Concurrency: s.concurrency, Buffers: buffers,
		Resume: resume, Journal: func(context.Context, *blob.Checkpoint) error { return nil },
	}
	if s.page > 0 {
		o.Cursor = source.cursor
	}
	content, err := blob.Stage(ctx, null{}, key, source, o)
	if err == nil && content.Size != resume.Offset+s.size {
		err = errors.New("the content has another size")
	}
	return err
}

var uploadID, token = [16]byte{1}, [16]byte{2}

// checkpoint is what an upload would have journaled behind its first parts.
func (s *settings) checkpoint() (*blob.Checkpoint, error) {
	c := &blob.Checkpoint{}
	if s.from == 0 {
		return c, nil
	}
	c.Cursor = "page"
	for i := range s.from {
		size := s.partSize << (i / 10_000)
		c.Parts = append(c.Parts, blob.Part{ID: blob.NewPartID(uploadID, token, i), Size: size})
		c.Offset += size
	}
	h, ok := sha256.New().(encoding.BinaryMarshaler)
	if !ok {
		return nil, errors.New("this SHA-256 has no state to save")
	}
	var err error
	c.SHA256, err = h.MarshalBinary()
	return c, err
}

// zeros is a body that is as fast as memory. It writes to the buffers, since
// memory that nobody has written to isn't there.
type zeros struct{ left, page, at int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.left)
	if z.page > 0 {
		n = min(n, z.page-z.at%z.page)
	}
	clear(p[:n])
	z.left -= n
	z.at += n
	return int(n), nil
}

func (z *zeros) cursor() string {
	if z.at%z.page > 0 {
		return ""
	}
	return strconv.FormatInt(z.at, 10)
}

func (z *zeros) Close() error { return nil }

// null is a store that takes about as long as hashing does, so that buffers wait
// for it, and keeps nothing.
type null struct{ blob.Store }

func (null) StagePart(_ context.Context, _ string, _ blob.Part, data []byte) error {
	sha256.Sum256(data)
	return nil
}

// resident reads a number of bytes from what the system says of this process.
func resident(field string) (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(status) {
		words := bytes.Fields(line)
		if len(words) == 3 && string(words[0]) == field {
			kib, err := strconv.ParseInt(string(words[1]), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in /proc/self/status", field)
}
