package httpexport

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	minRetryAfter = time.Second // 0 would be a loop that uses up no attempts
	maxRetryAfter = 24 * time.Hour
)

// parseRetryAfter returns how long a Retry-After field asks to wait, within
// minRetryAfter and maxRetryAfter, and whether it is a valid one (RFC 9110
// §10.2.3).
func parseRetryAfter(value string, now time.Time) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	if t, err := http.ParseTime(value); err == nil {
		return min(max(t.Sub(now), minRetryAfter), maxRetryAfter), true
	}
	seconds, err := strconv.ParseUint(value, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	seconds = min(seconds, uint64(maxRetryAfter/time.Second)) // before it can overflow
	return max(time.Duration(seconds)*time.Second, minRetryAfter), true
}
