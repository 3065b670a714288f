package export

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Handler serves one export API. Make it with NewHandler.
type Handler struct {
	options Options
	mux     *http.ServeMux

	requests atomic.Int64
	bytes    atomic.Int64

	mu      sync.Mutex
	counts  map[string]int                      // requests by user and site
	digests map[string]func() [sha256.Size]byte // by ETag
}

// Stats is what a Handler has served.
type Stats struct {
	Requests int64 // for exports, whatever the answer
	Bytes    int64 // of exports, without headers and error pages
}

// NewHandler returns a handler of GET and HEAD /export/{userId}/{siteId}.
func NewHandler(o Options) *Handler {
	h := &Handler{
		options: o,
		mux:     http.NewServeMux(),
		counts:  make(map[string]int),
		digests: make(map[string]func() [sha256.Size]byte),
	}
	h.mux.HandleFunc("GET /export/{userId}/{siteId}", h.serveExport)
	return h
}

// NewServeMux returns a handler that serves each of the APIs below its name,
// /site/export/{userId}/{siteId} for example, and GET /healthz.
func NewServeMux(apis ...*Handler) *http.ServeMux {
	mux := http.NewServeMux()
	for _, h := range apis {
		mux.Handle("/"+h.options.Name+"/", http.StripPrefix("/"+h.options.Name, h))
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	})
	return mux
}

// ServeHTTP serves one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// Stats returns what was served until now.
func (h *Handler) Stats() Stats {
	return Stats{Requests: h.requests.Load(), Bytes: h.bytes.Load()}
}

func (h *Handler) serveExport(w http.ResponseWriter, r *http.Request) {
	n := h.count(r)
	if !h.authorized(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "the token is missing or wrong", http.StatusUnauthorized)
		return
	}
	f, err := h.fault(r, n)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !wait(r.Context(), f.Latency) {
		return
	}
	switch {
	case f.Status != 0:
		serveStatus(w, f)
	case f.HTML:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!doctype html><title>Log in</title><h1>Log in</h1>\n")
	default:
		h.serveContent(w, r, f, n)
	}
}

func (h *Handler) count(r *http.Request) int {
	h.requests.Add(1)
	key := r.PathValue("userId") + "/" + r.PathValue("siteId")
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[key]++
	return h.counts[key]
}

// authorized compares digests: the time it takes tells nothing of the token,
// not even its length.
func (h *Handler) authorized(r *http.Request) bool {
	if h.options.Token == "" {
		return true
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(h.options.Token))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

func (h *Handler) fault(r *http.Request, n int) (f Fault, err error) {
	switch q := r.URL.Query(); {
	case q.Has("fault"):
		f, err = ParseFault(q.Get("fault"))
	case h.options.Behavior != nil:
		f = h.options.Behavior(r, n)
	default:
		f = h.options.Fault
	}
	if f.Times > 0 && n > f.Times {
		f = Fault{}
	}
	return f, err
}

func serveStatus(w http.ResponseWriter, f Fault) {
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	if f.Status == http.StatusNoContent {
		w.WriteHeader(f.Status)
		return
	}
	http.Error(w, http.StatusText(f.Status), f.Status)
}

func (h *Handler) serveContent(w http.ResponseWriter, r *http.Request, f Fault, n int) {
	o := h.options
	o.Version = cmp.Or(f.Version, o.Version)
	if f.Changing {
		o.Version += uint64(n)
	}
	if f.Empty {
		o.Size = 0
	}
	if f.NoRange {
		r.Header.Del("Range")
	}
	user, site := r.PathValue("userId"), r.PathValue("siteId")
	fw := &faultWriter{ResponseWriter: w, ctx: r.Context(), fault: f, bytes: &h.bytes}
	if f.Digest != "" {
		fw.digest = h.digest(o, user, site, f.WrongDigest)
	}
	w.Header().Set("Content-Type", o.contentType())
	switch tag := etag(o, user, site); f.ETag {
	case "":
		w.Header().Set("ETag", tag)
	case "weak":
		w.Header().Set("ETag", "W/"+tag)
	}
	http.ServeContent(fw, r, "", time.Time{}, NewReader(o, user, site))
	if r.Method != http.MethodHead {
		fw.end()
	}
}

// digest returns the value of a digest field (RFC 9530), and computes it once
// for each content.
func (h *Handler) digest(o Options, user, site string, wrong bool) string {
	tag := etag(o, user, site)
	h.mu.Lock()
	sum, ok := h.digests[tag]
	if !ok {
		sum = sync.OnceValue(func() [sha256.Size]byte { return SHA256(o, user, site) })
		h.digests[tag] = sum
	}
	h.mu.Unlock()
	d := sum()
	if wrong {
		d[0] ^= 1
	}
	return fmt.Sprintf("sha-256=:%s:", base64.StdEncoding.EncodeToString(d[:]))
}

// wait waits for d and reports whether ctx lived that long.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
