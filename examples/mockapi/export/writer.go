package export

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// faultWriter is what http.ServeContent writes to: it spoils the headers and
// the body as its fault says.
type faultWriter struct {
	http.ResponseWriter
	ctx     context.Context
	fault   Fault
	digest  string // "" if none is to be sent
	bytes   *atomic.Int64
	written int64
	burst   int64 // bytes since the last pause
	status  int
}

// WriteHeader changes the headers of a response that has content, and leaves
// others (304, 416) as they are.
func (w *faultWriter) WriteHeader(status int) {
	w.status = status
	if w.hasContent() {
		w.frame()
		if w.fault.Digest == "header" {
			w.setDigest()
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *faultWriter) hasContent() bool {
	return w.status == http.StatusOK || w.status == http.StatusPartialContent
}

func (w *faultWriter) frame() {
	header := w.Header()
	if n, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64); err == nil {
		header.Set("Content-Length", strconv.FormatInt(n+w.fault.ExtraLength, 10))
	}
	if w.fault.Framing != "" || w.fault.Digest == "trailer" {
		header.Del("Content-Length")
	}
	if w.fault.Framing == "close" {
		header.Set("Transfer-Encoding", "identity") // what net/http takes for "close the connection"
	}
	if w.fault.Digest == "trailer" {
		header.Add("Trailer", "Repr-Digest")
		if w.status == http.StatusOK {
			header.Add("Trailer", "Content-Digest")
		}
	}
}

// setDigest sets Content-Digest only with the whole content: it would be
// another for each range.
func (w *faultWriter) setDigest() {
	w.Header().Set("Repr-Digest", w.digest)
	if w.status == http.StatusOK {
		w.Header().Set("Content-Digest", w.digest)
	}
}

// Write writes p, and breaks off where the fault says. Of a slow response it
// writes as much as is due every 50 ms.
func (w *faultWriter) Write(p []byte) (int, error) {
	if !w.hasContent() {
		return w.ResponseWriter.Write(p)
	}
	total := 0
	for len(p) > 0 {
		piece := p
		burst := max(w.fault.Rate/20, 1)
		if w.fault.Rate > 0 {
			piece = p[:min(int64(len(p)), burst-w.burst)]
		}
		stop := w.stops() && w.written+int64(len(piece)) > w.fault.After
		if stop {
			piece = piece[:w.fault.After-w.written]
		}
		n, err := w.send(piece)
		total += n
		if err != nil {
			return total, err
		}
		if stop {
			return total, w.stop()
		}
		p = p[n:]
		if w.burst += int64(n); w.fault.Rate > 0 && w.burst == burst && !w.pause() {
			return total, w.ctx.Err()
		}
	}
	return total, nil
}

// send counts before it writes, so that whoever has read bytes finds them
// counted.
func (w *faultWriter) send(p []byte) (int, error) {
	w.bytes.Add(int64(len(p)))
	n, err := w.ResponseWriter.Write(p)
	w.bytes.Add(int64(n - len(p)))
	w.written += int64(n)
	return n, err
}

func (w *faultWriter) stops() bool { return w.fault.Cut || w.fault.Stall }

// stop sends what was written so far, and then cuts or stalls. Aborting the
// handler is how net/http is told to break a connection of HTTP/1 or to reset a
// stream of HTTP/2.
func (w *faultWriter) stop() error {
	if err := http.NewResponseController(w.ResponseWriter).Flush(); err != nil {
		return err
	}
	if w.fault.Cut {
		panic(http.ErrAbortHandler)
	}
	<-w.ctx.Done()
	return w.ctx.Err()
}

func (w *faultWriter) pause() bool {
	w.burst = 0
	if err := http.NewResponseController(w.ResponseWriter).Flush(); err != nil {
		return false
	}
	return wait(w.ctx, 50*time.Millisecond)
}

// end does what is left after the body: a fault at its very end, the trailers.
func (w *faultWriter) end() {
	if !w.hasContent() {
		return
	}
	if w.stops() && w.written == w.fault.After {
		_ = w.stop()
	}
	if w.fault.Digest == "trailer" {
		w.setDigest()
	}
}
