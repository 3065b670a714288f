package httpexport

import (
	"net/http"
	"strings"
	"time"
)

// maxValidator bounds what is stored of a source's ETag. A longer one is none.
const maxValidator = 1024

// validatorOf returns the strong validator of a response, or "". A date is
// strong if the response's own Date shows that the export could not have changed
// again within the second that Last-Modified names (RFC 9110 §8.8.2.2).
func validatorOf(h http.Header) string {
	if tags := h.Values("Etag"); len(tags) > 0 {
		if len(tags) == 1 && isStrongETag(tags[0]) {
			return tags[0]
		}
		return ""
	}
	modified, err1 := http.ParseTime(h.Get("Last-Modified"))
	date, err2 := http.ParseTime(h.Get("Date"))
	if err1 != nil || err2 != nil || date.Sub(modified) < time.Second {
		return ""
	}
	return h.Get("Last-Modified")
}

// isStrongETag follows the grammar of RFC 9110 §8.8.3.
func isStrongETag(s string) bool {
	if len(s) < 2 || len(s) > maxValidator || s[0] != '"' || s[len(s)-1] != '"' {
		return false
	}
	return !strings.ContainsFunc(s[1:len(s)-1], func(r rune) bool {
		return r <= ' ' || r == '"' || r == 0x7f
	})
}

// isValidator reports whether s is one that validatorOf could have returned, and
// so may go into If-Range.
func isValidator(s string) bool {
	_, err := http.ParseTime(s)
	return err == nil || isStrongETag(s)
}

// confirms reports whether a response to a request with If-Range shows that its
// validator still holds. A 206 must repeat the ETag (RFC 9110 §15.3.7), and
// should not repeat Last-Modified.
func confirms(h http.Header, validator string) bool {
	if isStrongETag(validator) {
		tags := h.Values("Etag")
		return len(tags) == 1 && tags[0] == validator
	}
	modified := h.Get("Last-Modified")
	return modified == "" || modified == validator
}
