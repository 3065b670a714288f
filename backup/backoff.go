package backup

import (
	"math/rand/v2"
	"strings"
	"time"
	"unicode"
)

const (
	backoffFirst = time.Second
	backoffMax   = 5 * time.Minute
)

// backoff is the wait behind the n-th failure: it doubles from one second to
// five minutes, less up to a quarter at random.
func backoff(n int) time.Duration {
	d := backoffMax
	if n < 10 {
		d = min(backoffFirst<<(n-1), backoffMax)
	}
	return d - rand.N(d/4) //nolint:gosec // jitter, not a secret
}

// patience is the wait where a source or the store has no time and doesn't say how
// long: half of the time since that began, from one second to five minutes, less up
// to a quarter at random.
func patience(since time.Duration) time.Duration {
	d := min(max(since/2, backoffFirst), backoffMax)
	return d - rand.N(d/4) //nolint:gosec // jitter, not a secret
}

const maxMessage = 500

// oneLine makes a message fit to be shown in a list: one line of at most 500
// bytes of valid UTF-8.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "�"), func(r rune) bool {
		return r == '\n' || r == '\r' || (unicode.IsControl(r) && r != '\t')
	}), " ")
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage-len("…")], "") + "…"
	}
	return s
}
