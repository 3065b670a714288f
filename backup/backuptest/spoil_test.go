package backuptest_test

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/sitebackup/sitebackup/backup"
)

type providerFunc func(context.Context, *backup.ExportRequest) (*backup.Export, error)

func (f providerFunc) Export(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
	return f(ctx, req)
}

// spoiled is a good provider whose exports are changed before they are returned.
func spoiled(change func(ctx context.Context, req *backup.ExportRequest, ex *backup.Export)) providerFunc {
	return func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
		ex, err := memory{1}.Export(ctx, req)
		if err == nil {
			change(ctx, req, ex)
		}
		return ex, err
	}
}

// readerFunc is a body whose Read is changed.
type readerFunc struct {
	io.ReadCloser
	read func(p []byte) (int, error)
}

func (r *readerFunc) Read(p []byte) (int, error) { return r.read(p) }

// spoiledRead is a good provider with another Read.
func spoiledRead(read func(ctx context.Context, body io.Reader, p []byte) (int, error)) providerFunc {
	return spoiled(func(ctx context.Context, _ *backup.ExportRequest, ex *backup.Export) {
		good := ex.Body
		ex.Body = &readerFunc{good, func(p []byte) (int, error) { return read(ctx, good, p) }}
	})
}

// lastError gives another error than io.EOF.
func lastError(err error) providerFunc {
	return spoiledRead(func(_ context.Context, body io.Reader, p []byte) (int, error) {
		n, last := body.Read(p)
		if last == io.EOF {
			last = err
		}
		return n, last
	})
}

// goOn goes on at req.Offset, whatever the validator, with the bytes from another
// offset.
func goOn(ctx context.Context, req *backup.ExportRequest, ex *backup.Export, from int64) {
	if req.Offset > 0 {
		ex.Offset = req.Offset
		ex.Body = newBody(ctx, memory{1}.data(req.SiteID)[min(from, memorySize):], io.EOF)
	}
}

// closerFunc is a body whose Close is changed.
type closerFunc struct {
	io.ReadCloser
	close func() error
}

func (c *closerFunc) Close() error { return c.close() }

func framed() (backup.End, error) { return backup.End{Framed: true}, nil }

// untilDone writes to a pipe that nobody closes, until its context ends.
type untilDone struct {
	w   *io.PipeWriter
	ctx context.Context
}

func (u *untilDone) Write(p []byte) (int, error) {
	stop := context.AfterFunc(u.ctx, func() { u.w.CloseWithError(u.ctx.Err()) })
	defer stop()
	return u.w.Write(p)
}

// dropRead reads 700 bytes, and drops what the caller has no room for.
func dropRead(body io.Reader) func(p []byte) (int, error) {
	return func(p []byte) (int, error) {
		buf := make([]byte, 700)
		n, err := body.Read(buf)
		return copy(p, buf[:n]), err
	}
}

func dropping() backup.Provider {
	return spoiled(func(_ context.Context, _ *backup.ExportRequest, ex *backup.Export) {
		ex.Body, ex.Size = &readerFunc{ex.Body, dropRead(ex.Body)}, -1
	})
}

// changing has other bytes each time, of the same or of another validator.
func changing(validators bool) backup.Provider {
	calls := make(chan uint64, 1)
	calls <- 1
	return providerFunc(func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
		n := <-calls
		calls <- n + 1
		ex, err := memory{n}.Export(ctx, req)
		if err == nil && !validators {
			ex.Validator = `"one"`
		}
		return ex, err
	})
}

// mixing keeps the last request, as if there were no other.
func mixing() backup.Provider {
	last := make(chan string, 1)
	last <- ""
	return spoiled(func(_ context.Context, req *backup.ExportRequest, ex *backup.Export) {
		<-last
		last <- req.SiteID
		var data *bytes.Reader
		good := ex.Body
		ex.End = nil
		ex.Body = &readerFunc{good, func(p []byte) (int, error) {
			if data == nil {
				site := <-last
				last <- site
				data = bytes.NewReader(memory{1}.data(site)[ex.Offset:])
			}
			return data.Read(p)
		}}
	})
}

// single refuses an export while another is open.
func single() backup.Provider {
	free := make(chan struct{}, 1)
	free <- struct{}{}
	return providerFunc(func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
		select {
		case <-free:
		default:
			return nil, errors.New("busy")
		}
		ex, err := memory{1}.Export(ctx, req)
		if err != nil {
			free <- struct{}{}
			return nil, err
		}
		good := ex.Body
		ex.Body = &closerFunc{good, func() error { free <- struct{}{}; return good.Close() }}
		return ex, nil
	})
}

// cutEnd takes the end of a source that was cut for its true end.
func cutEnd(change func(*backup.Export)) backup.Provider {
	return spoiled(func(_ context.Context, _ *backup.ExportRequest, ex *backup.Export) {
		change(ex)
		good := ex.Body
		ex.Body = &readerFunc{good, func(p []byte) (int, error) {
			n, err := good.Read(p)
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = io.EOF
			}
			return n, err
		}}
	})
}
