package blob_test

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
)

// pattern is a body of size bytes that cost next to nothing to make. It is of no
// period that a part could have.
type pattern struct {
	size, at int64
	closed   atomic.Int32
}

var period = func() []byte {
	b := make([]byte, 65_521)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}()

func (p *pattern) Read(b []byte) (int, error) {
	if p.at == p.size {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), p.size-p.at)]
	n := copy(b, period[p.at%int64(len(period)):])
	p.at += int64(n)
	return n, nil
}

func (p *pattern) Close() error {
	p.closed.Add(1)
	return nil
}

// patternBytes is what a pattern of n bytes gives.
func patternBytes(n int) []byte {
	return bytes.Repeat(period, n/len(period)+1)[:n]
}

// script is a body that gives data, in Reads of at most step bytes, and then err;
// with together, err comes with the last bytes.
type script struct {
	data     []byte
	step     int
	err      error
	together bool

	read   atomic.Int64
	closed atomic.Int32
}

func (s *script) Read(b []byte) (int, error) {
	if len(s.data) == 0 {
		return 0, s.err
	}
	if s.step > 0 {
		b = b[:min(len(b), s.step)]
	}
	n := copy(b, s.data)
	s.data = s.data[n:]
	s.read.Add(int64(n))
	if len(s.data) == 0 && s.together {
		return n, s.err
	}
	return n, nil
}

func (s *script) Close() error {
	s.closed.Add(1)
	return nil
}

// hang is a body that gives data and then waits until it is closed. Then it says
// err, or that it is at its end, as a careless one does.
type hang struct {
	data    []byte
	err     error
	waiting chan struct{} // closed when a Read waits
	stop    chan struct{}
	once    sync.Once
	enter   sync.Once
}

func newHang(data []byte) *hang {
	return &hang{data: data, err: io.EOF, waiting: make(chan struct{}), stop: make(chan struct{})}
}

func (h *hang) Read(b []byte) (int, error) {
	if len(h.data) > 0 {
		n := copy(b, h.data)
		h.data = h.data[n:]
		return n, nil
	}
	h.enter.Do(func() { close(h.waiting) })
	<-h.stop
	return 0, h.err
}

func (h *hang) Close() error {
	h.once.Do(func() { close(h.stop) })
	return nil
}
