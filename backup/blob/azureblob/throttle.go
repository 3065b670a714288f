package azureblob

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// patience decides whether a request is sent again.
type patience struct {
	opts     *Options
	deadline time.Time // of the whole call
	tries    int
}

// passing are the statuses that may pass, the SDK's own list.
var passing = []int{
	http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
	http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

// again says whether it is of any use to pause and send the request again. A
// pause up to the call's deadline is of none: it would only lose what the last
// answer said.
func (p *patience) again(resp *http.Response, err error) bool {
	if err == nil && !slices.Contains(passing, resp.StatusCode) {
		return false
	}
	p.tries++
	return systemTime().Add(p.pause(resp)).Before(p.deadline)
}

// pause is how long the SDK's policy will sleep at most.
func (p *patience) pause(resp *http.Response) time.Duration {
	if resp != nil {
		if asked := retryAfter(resp.Header); asked > 0 {
			return asked
		}
	}
	factor := float64(uint64(1)<<min(p.tries, 60)-1) * 1.3 // its jitter
	if longest := float64(p.opts.MaxRetryDelay); factor*float64(p.opts.RetryDelay) > longest {
		return p.opts.MaxRetryDelay
	}
	return time.Duration(factor * float64(p.opts.RetryDelay))
}

// throttled makes a blob.ThrottledError of an answer that asks for time.
func throttled(e *Error, answer *azcore.ResponseError) error {
	busy := e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable ||
		e.Code == string(bloberror.ServerBusy)
	if !busy {
		return e
	}
	t := &blob.ThrottledError{Err: e}
	if answer.RawResponse != nil {
		t.After = retryAfter(answer.RawResponse.Header)
	}
	return t
}

// longestWait is the longest time that an answer can ask for. More is a mistake.
const longestWait = 7 * 24 * time.Hour

// retryAfter is how long an answer asks to wait, 0 if it doesn't. The SDK reads the
// same headers in the same order.
func retryAfter(h http.Header) time.Duration {
	for _, name := range []string{"Retry-After-Ms", "X-Ms-Retry-After-Ms", "Retry-After"} {
		unit := time.Millisecond
		if name == "Retry-After" {
			unit = time.Second
		}
		if n, err := strconv.ParseUint(h.Get(name), 10, 32); err == nil && n > 0 {
			return min(time.Duration(n)*unit, longestWait)
		}
	}
	if at, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		return max(0, min(at.Sub(systemTime()), longestWait))
	}
	return 0
}
