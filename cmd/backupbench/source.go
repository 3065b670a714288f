package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// sourceCmd is the process that has the export.
type sourceCmd struct {
	serverFlags
}

// Run serves until standard input ends.
func (c *sourceCmd) Run(ctx context.Context, sys *system) error {
	return c.serve(ctx, sys, http.HandlerFunc(c.export), func() any { return struct{}{} })
}

const exportTag = `"bench"`

// export serves the pattern, or its end if Range asks for that. Its length is the first segment
// of the path.
func (c *sourceCmd) export(w http.ResponseWriter, r *http.Request) {
	timer := time.NewTimer(c.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		return
	}
	length, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	total, err := strconv.ParseInt(length, 10, 64)
	if err != nil || total < 0 {
		http.NotFound(w, r)
		return
	}
	first, status := int64(0), http.StatusOK
	if from, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
		n, err := strconv.ParseInt(strings.TrimSuffix(from, "-"), 10, 64)
		if err != nil || n < 0 || n >= total {
			http.Error(w, "no such range", http.StatusRequestedRangeNotSatisfiable)
			return
		}
		first, status = n, http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, total-1, total))
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("ETag", exportTag)
	w.Header().Set("Accept-Ranges", "bytes")
	w.Header().Set("Content-Length", strconv.FormatInt(total-first, 10))
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	_ = pieces(first, total-first, func(p []byte) error { // an error is the connection's
		_, err := w.Write(p)
		return err
	})
}
