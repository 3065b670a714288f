package fakeazure

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

const metaHeader = "X-Ms-Meta-"

// newObject makes a blob of what r's header says about it.
func (r *request) newObject() *object {
	o := &object{
		contentType: cmp.Or(r.Header.Get("X-Ms-Blob-Content-Type"), "application/octet-stream"),
		metadata:    make(map[string]string),
	}
	for name, values := range r.Header {
		if key, ok := strings.CutPrefix(name, metaHeader); ok {
			o.metadata[strings.ToLower(key)] = strings.Join(values, ",")
		}
	}
	return o
}

// putBlob is Put Blob.
func (h *Handler) putBlob(w http.ResponseWriter, r *request) *failure {
	if t := r.Header.Get("X-Ms-Blob-Type"); t != "BlockBlob" {
		return errBlobType
	}
	b, err := h.receive(w, r)
	if err != nil {
		return err
	}
	o := r.newObject()
	o.blocks, o.size, o.whole = []block{b}, b.size, true
	if err := h.put(r, o); err != nil {
		return err
	}
	h.bytes.Add(o.size)
	describe(w, o.etag, o.modified)
	h.answer(w, r, http.StatusCreated)
	return nil
}

func (h *Handler) put(r *request, o *object) *failure {
	h.state.mu.Lock()
	defer h.state.mu.Unlock()
	c, b, err := h.state.find(r)
	if err != nil {
		return err
	}
	if err := r.checkWrite(b.committed); err != nil {
		return err
	}
	h.state.commit(c, r, b, o)
	return nil
}

// deleteBlob is Delete Blob.
func (h *Handler) deleteBlob(w http.ResponseWriter, r *request) *failure {
	if err := h.delete(r); err != nil {
		return err
	}
	h.answer(w, r, http.StatusAccepted)
	return nil
}

func (h *Handler) delete(r *request) *failure {
	h.state.mu.Lock()
	defer h.state.mu.Unlock()
	c, b, err := h.state.find(r)
	if err != nil {
		return err
	}
	if b.committed == nil {
		return errBlobNotFound
	}
	if err := r.checkRead(b.committed); err != nil {
		return err
	}
	if b.committed = nil; len(b.staged) == 0 {
		delete(c.blobs, r.blob)
	}
	return nil
}

// getBlob is Get Blob, and Get Blob Properties for HEAD.
func (h *Handler) getBlob(w http.ResponseWriter, r *request) *failure {
	o, err := h.state.read(r)
	if err != nil {
		return err
	}
	span, err := r.parseRange(o.size)
	if err != nil {
		return err
	}
	if h.opts.Null && r.Method == http.MethodGet && o.size > 0 {
		return errNoContent
	}
	describe(w, o.etag, o.modified)
	header := w.Header()
	header.Set("Content-Type", o.contentType)
	header.Set("Accept-Ranges", "bytes")
	header.Set("X-Ms-Blob-Type", "BlockBlob")
	header.Set("Content-Length", strconv.FormatInt(span.length, 10))
	for key, value := range o.metadata {
		header.Set(metaHeader+key, value)
	}
	status := http.StatusOK
	if span.partial {
		status = http.StatusPartialContent
		header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", span.start, span.start+span.length-1, o.size))
	}
	h.answer(w, r, status)
	if r.Method == http.MethodGet {
		o.send(w, span)
	}
	return nil
}

// span is a part of a blob.
type span struct {
	start, length int64
	partial       bool
}

// parseRange reads the range of a blob of size bytes that r asks for: bytes=first- or
// bytes=first-last. HEAD is always about the whole.
func (r *request) parseRange(size int64) (span, *failure) {
	field := cmp.Or(r.Header.Get("X-Ms-Range"), r.Header.Get("Range"))
	if field == "" || r.Method == http.MethodHead {
		return span{length: size}, nil
	}
	from, to, ok := strings.Cut(strings.TrimPrefix(field, "bytes="), "-")
	first, err := strconv.ParseInt(from, 10, 64)
	last := size - 1
	if to != "" {
		n, toErr := strconv.ParseInt(to, 10, 64)
		last, err = min(last, n), cmp.Or(err, toErr)
	}
	if !ok || err != nil || first < 0 || first >= size || last < first {
		return span{}, errRange
	}
	return span{start: first, length: last - first + 1, partial: true}, nil
}

// send writes a part of the blob's bytes. An error is the connection's, which nobody can be
// told of.
func (o *object) send(w http.ResponseWriter, s span) {
	skip, left := s.start, s.length
	for _, b := range o.blocks {
		if skip >= b.size {
			skip -= b.size
			continue
		}
		data := b.data[skip:min(b.size, skip+left)]
		if _, err := w.Write(data); err != nil {
			return
		}
		skip, left = 0, left-int64(len(data))
	}
}
