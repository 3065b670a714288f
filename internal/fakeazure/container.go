package fakeazure

import (
	"net/http"
	"time"
)

// createContainer is Create Container.
func (h *Handler) createContainer(w http.ResponseWriter, r *request) *failure {
	h.state.mu.Lock()
	created := h.state.create(r.container)
	c := h.state.containers[r.container]
	h.state.mu.Unlock()
	if !created {
		return errContainerExists
	}
	describe(w, c.etag, c.modified)
	h.answer(w, r, http.StatusCreated)
	return nil
}

// containerProperties is Get Container Properties.
func (h *Handler) containerProperties(w http.ResponseWriter, r *request) *failure {
	h.state.mu.Lock()
	c := h.state.containers[r.container]
	h.state.mu.Unlock()
	if c == nil {
		return errContainerNotFound
	}
	describe(w, c.etag, c.modified)
	h.answer(w, r, http.StatusOK)
	return nil
}

// deleteContainer is Delete Container.
func (h *Handler) deleteContainer(w http.ResponseWriter, r *request) *failure {
	h.state.mu.Lock()
	there := h.state.containers[r.container] != nil
	delete(h.state.containers, r.container)
	h.state.mu.Unlock()
	if !there {
		return errContainerNotFound
	}
	h.answer(w, r, http.StatusAccepted)
	return nil
}

// describe sets what the answers about containers and blobs have in common.
func describe(w http.ResponseWriter, etag string, modified time.Time) {
	w.Header().Set("ETag", etag)
	w.Header().Set("Last-Modified", modified.Format(http.TimeFormat))
}
