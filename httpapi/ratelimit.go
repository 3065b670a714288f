package httpapi

import (
	"cmp"
	"container/list"
	"math"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// RateLimit bounds how often a caller may ask, and how often an address may be
// refused. Each is counted by the process.
type RateLimit struct {
	// PerSecond is how many requests a second a caller may make in the long run.
	// Callers of one name are one. Defaults to 50.
	PerSecond float64

	// Burst is how many requests a caller that has rested may make at once.
	// Defaults to twice PerSecond.
	Burst int

	// FailuresPerMinute is how many requests without a valid credential are
	// answered 401 for each remote address, the first of them at once; further ones
	// are answered 429. A network of IPv6 (/64) is one address. A valid credential
	// is never held up by them: others may be behind the same proxy. Defaults to 60.
	FailuresPerMinute int
}

func (l *RateLimit) withDefaults() RateLimit {
	out := *l
	out.PerSecond = cmp.Or(out.PerSecond, 50)
	out.Burst = cmp.Or(out.Burst, int(math.Ceil(2*out.PerSecond)))
	out.FailuresPerMinute = cmp.Or(out.FailuresPerMinute, 60)
	return out
}

// maxLimiters bounds a table. Beyond it the limiter that was used longest ago is
// forgotten, which is as good as new unless so many others asked meanwhile.
const maxLimiters = 10_000

// limiters has a limiter for each key.
type limiters struct {
	limit rate.Limit
	burst int
	max   int

	mu     sync.Mutex
	newest *list.List // of *keyed, the one used last in front
	byKey  map[string]*list.Element
}

type keyed struct {
	key     string
	limiter *rate.Limiter
}

func newLimiters(limit rate.Limit, burst, most int) *limiters {
	return &limiters{limit: limit, burst: burst, max: most, newest: list.New(), byKey: make(map[string]*list.Element)}
}

// take lets one more request pass, and returns 0, or else how long to wait for the
// next one.
func (l *limiters) take(key string) time.Duration {
	at := now()
	limiter := l.of(key)
	r := limiter.ReserveN(at, 1)
	wait := r.DelayFrom(at)
	if wait > 0 {
		r.CancelAt(at)
	}
	return wait
}

func (l *limiters) of(key string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.byKey[key]; ok {
		l.newest.MoveToFront(e)
		return limiterOf(e)
	}
	if l.newest.Len() >= l.max {
		oldest := l.newest.Back()
		k, _ := l.newest.Remove(oldest).(*keyed)
		delete(l.byKey, k.key)
	}
	k := &keyed{key: key, limiter: rate.NewLimiter(l.limit, l.burst)}
	l.byKey[key] = l.newest.PushFront(k)
	return k.limiter
}

func limiterOf(e *list.Element) *rate.Limiter {
	k, _ := e.Value.(*keyed)
	return k.limiter
}

// limits are those of a server, over all that it serves.
type limits struct{ callers, failures *limiters }

func newLimits(l RateLimit) *limits {
	return &limits{
		callers:  newLimiters(rate.Limit(l.PerSecond), l.Burst, maxLimiters),
		failures: newLimiters(rate.Limit(float64(l.FailuresPerMinute)/60), l.FailuresPerMinute, maxLimiters),
	}
}

// caller is nil unless the caller has asked too often.
func (l *limits) caller(c *Caller) *Problem {
	return rateProblem(l.callers.take(c.Name), "This credential has asked too often.")
}

// failure is nil unless the address was refused too often.
func (l *limits) failure(r *http.Request) *Problem {
	return rateProblem(l.failures.take(network(r.RemoteAddr)), "This address has sent too many requests without a valid credential.")
}

func rateProblem(wait time.Duration, detail string) *Problem {
	if wait <= 0 {
		return nil
	}
	p := newProblem(CodeRateLimited, detail)
	p.retryAfter = wait
	return p
}

// network is what one sender is assumed to have: an address of IPv4, or a /64 of
// IPv6.
func network(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return host
	}
	return prefix.String()
}
