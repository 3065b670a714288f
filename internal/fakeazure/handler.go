package fakeazure

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Options are the optional settings of a Handler.
type Options struct {
	// Containers are those that are there from the start.
	Containers []string

	// Null keeps the bytes of no block.
	Null bool

	// SkipChecksum doesn't compare blocks with their checksums. It is for measuring what a
	// client costs where the server runs on the same processors.
	SkipChecksum bool

	// Delay is how much later each request is answered, once its body has arrived. It stands
	// for the time that a distant store takes.
	Delay time.Duration
}

// Handler serves the API at URLs like http://host/account/container/blob. Whatever account is
// named has the same containers. Make it with New; it may be used by many goroutines at once.
type Handler struct {
	opts  Options
	state state

	requests, blocks, bytes, commits atomic.Int64
}

// Stats is what a Handler has been sent.
type Stats struct {
	Requests int64
	Blocks   int64 // that were staged
	Bytes    int64 // of those, and of blobs that were put whole
	Commits  int64 // of block lists
}

// New makes a handler. opts may be nil.
func New(opts *Options) *Handler {
	h := &Handler{state: state{containers: make(map[string]*container)}}
	if opts != nil {
		h.opts = *opts
	}
	for _, name := range h.opts.Containers {
		h.state.create(name)
	}
	return h
}

// Stats returns what was sent until now.
func (h *Handler) Stats() Stats {
	return Stats{
		Requests: h.requests.Load(), Blocks: h.blocks.Load(), Bytes: h.bytes.Load(), Commits: h.commits.Load(),
	}
}

// request is one request: what its path and query name.
type request struct {
	*http.Request
	id        string
	container string
	blob      string // "" for the container itself
	comp      string
	restype   string
}

// ServeHTTP serves one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	query := hr.URL.Query()
	r := &request{
		Request: hr, comp: query.Get("comp"), restype: query.Get("restype"),
		id: strconv.FormatInt(h.requests.Add(1), 16),
	}
	_, rest, _ := strings.Cut(strings.TrimPrefix(hr.URL.Path, "/"), "/") // behind the account
	r.container, r.blob, _ = strings.Cut(rest, "/")
	w.Header().Set("X-Ms-Request-Id", r.id)
	w.Header().Set("X-Ms-Version", hr.Header.Get("X-Ms-Version"))
	if err := h.serve(w, r); err != nil {
		h.wait(r)
		err.write(w, r)
	}
}

// serve answers a request that succeeds, or says why it doesn't.
func (h *Handler) serve(w http.ResponseWriter, r *request) *failure {
	switch op := (operation{r.Method, r.restype, r.comp}); {
	case r.container == "":
		return errNotImplemented
	case r.blob == "":
		return h.serveContainer(w, r, op)
	default:
		return h.serveBlob(w, r, op)
	}
}

type operation struct{ method, restype, comp string }

func (h *Handler) serveContainer(w http.ResponseWriter, r *request, op operation) *failure {
	switch op {
	case operation{http.MethodPut, "container", ""}:
		return h.createContainer(w, r)
	case operation{http.MethodGet, "container", ""}, operation{http.MethodHead, "container", ""}:
		return h.containerProperties(w, r)
	case operation{http.MethodDelete, "container", ""}:
		return h.deleteContainer(w, r)
	case operation{http.MethodGet, "container", "list"}:
		return h.listBlobs(w, r)
	default:
		return errNotImplemented
	}
}

func (h *Handler) serveBlob(w http.ResponseWriter, r *request, op operation) *failure {
	switch op {
	case operation{http.MethodPut, "", "block"}:
		return h.putBlock(w, r)
	case operation{http.MethodPut, "", "blocklist"}:
		return h.putBlockList(w, r)
	case operation{http.MethodGet, "", "blocklist"}:
		return h.getBlockList(w, r)
	case operation{http.MethodPut, "", ""}:
		return h.putBlob(w, r)
	case operation{http.MethodGet, "", ""}, operation{http.MethodHead, "", ""}:
		return h.getBlob(w, r)
	case operation{http.MethodDelete, "", ""}:
		return h.deleteBlob(w, r)
	default:
		return errNotImplemented
	}
}

// answer sends the status of a success without a body.
func (h *Handler) answer(w http.ResponseWriter, r *request, status int) {
	h.wait(r)
	w.WriteHeader(status)
}

// wait waits for Options.Delay.
func (h *Handler) wait(r *request) {
	if h.opts.Delay <= 0 {
		return
	}
	timer := time.NewTimer(h.opts.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}
