package fakeazure

import "net/http"

// checkWrite checks the conditions of a request that would replace o; nil if nothing is there.
// It tells a name that is taken from other conditions, as Azure does.
func (r *request) checkWrite(o *object) *failure {
	if match := r.Header.Get("If-Match"); match != "" && !matches(match, o) {
		return errCondition
	}
	switch none := r.Header.Get("If-None-Match"); {
	case none == "" || !matches(none, o):
		return nil
	case none == "*":
		return errBlobExists
	default:
		return errCondition
	}
}

// checkRead checks the conditions of a request that reads o.
func (r *request) checkRead(o *object) *failure {
	if match := r.Header.Get("If-Match"); match != "" && !matches(match, o) {
		return errCondition
	}
	if none := r.Header.Get("If-None-Match"); none == "" || !matches(none, o) {
		return nil
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return errNotModified
	}
	return errCondition
}

// matches reports whether o is there and has the entity tag.
func matches(tag string, o *object) bool {
	return o != nil && (tag == "*" || tag == o.etag)
}
