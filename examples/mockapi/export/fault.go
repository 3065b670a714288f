package export

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Fault is how a response goes wrong. The zero value is a response that is
// right. Faults can be combined, as far as they make sense together.
type Fault struct {
	Times int // only the first so many requests for a user and site; 0: all

	Latency time.Duration // wait before the headers
	Rate    int64         // bytes per second of the body, 20 or more; 0: as fast as it goes

	Status     int    // answer with this status and no export
	RetryAfter string // Retry-After of that answer
	HTML       bool   // answer 200 with an HTML page, as a login does
	Empty      bool   // answer 200 with an empty body

	Cut   bool  // break the connection (HTTP/2: reset the stream) ...
	Stall bool  // or send nothing more until the client goes away ...
	After int64 // after so many bytes of the body

	Framing     string // "chunked": no length; "close": only the connection's end ends the body
	ExtraLength int64  // announce so many bytes too many

	ETag     string // "weak", "none"
	NoRange  bool   // answer a Range with the whole
	Version  uint64 // serve another content
	Changing bool   // serve another content each time

	Digest      string // "header", "trailer": send Repr-Digest and Content-Digest there
	WrongDigest bool   // with a bit of it flipped
}

// ParseFault reads a fault from words with commas between them:
//
//	times=2             only for the first two requests for a user and site
//	latency=3s          wait before the headers
//	rate=1MiB           bytes per second
//	status=503          a status and no export
//	retry-after=5       with this Retry-After
//	html, empty         an HTML page, an empty body
//	cut=10MiB           break the connection after so many bytes
//	stall=10MiB         send nothing more after so many bytes
//	framing=chunked     no Content-Length; framing=close: no framing at all
//	extra=100           announce 100 bytes too many
//	etag=weak           or none
//	norange             answer a Range with the whole
//	version=2, changing another content; another each time
//	digest=header       or trailer; digest=wrong: a wrong one in the header
func ParseFault(s string) (Fault, error) {
	var f Fault
	for word := range strings.SplitSeq(s, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(word), "=")
		set, ok := faultWords[key]
		if !ok {
			return Fault{}, fmt.Errorf("parse fault: unknown word %q", key)
		}
		if err := set(&f, value); err != nil {
			return Fault{}, fmt.Errorf("parse fault: %s=%s: %w", key, value, err)
		}
	}
	return f, nil
}

// UnmarshalText sets f to what ParseFault makes of text.
func (f *Fault) UnmarshalText(text []byte) (err error) {
	*f, err = ParseFault(string(text))
	return err
}

var faultWords = map[string]func(f *Fault, value string) error{
	"":            func(*Fault, string) error { return nil },
	"times":       func(f *Fault, v string) (err error) { f.Times, err = strconv.Atoi(v); return err },
	"latency":     func(f *Fault, v string) (err error) { f.Latency, err = time.ParseDuration(v); return err },
	"rate":        func(f *Fault, v string) error { return parseSize(&f.Rate, v) },
	"status":      func(f *Fault, v string) (err error) { f.Status, err = parseStatus(v); return err },
	"retry-after": func(f *Fault, v string) error { f.RetryAfter = v; return nil },
	"html":        flag(func(f *Fault) { f.HTML = true }),
	"empty":       flag(func(f *Fault) { f.Empty = true }),
	"cut":         func(f *Fault, v string) error { f.Cut = true; return parseSize(&f.After, v) },
	"stall":       func(f *Fault, v string) error { f.Stall = true; return parseSize(&f.After, v) },
	"framing":     func(f *Fault, v string) error { return parseWord(&f.Framing, v, "chunked", "close") },
	"extra":       func(f *Fault, v string) error { return parseSize(&f.ExtraLength, v) },
	"etag":        func(f *Fault, v string) error { return parseWord(&f.ETag, v, "weak", "none") },
	"norange":     flag(func(f *Fault) { f.NoRange = true }),
	"version":     func(f *Fault, v string) (err error) { f.Version, err = strconv.ParseUint(v, 10, 64); return err },
	"changing":    flag(func(f *Fault) { f.Changing = true }),
	"digest":      parseDigest,
}

func flag(set func(*Fault)) func(*Fault, string) error {
	return func(f *Fault, v string) error {
		if v != "" {
			return fmt.Errorf("takes no value")
		}
		set(f)
		return nil
	}
}

func parseSize(to *int64, v string) error {
	return (*Size)(to).UnmarshalText([]byte(v))
}

func parseStatus(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 200 || http.StatusText(n) == "" {
		return 0, fmt.Errorf("must be a status code, 200 or more")
	}
	return n, nil
}

func parseWord(to *string, v string, words ...string) error {
	for _, w := range words {
		if v == w {
			*to = v
			return nil
		}
	}
	return fmt.Errorf("must be one of %s", strings.Join(words, ", "))
}

func parseDigest(f *Fault, v string) error {
	if v == "wrong" {
		f.Digest, f.WrongDigest = "header", true
		return nil
	}
	return parseWord(&f.Digest, v, "header", "trailer")
}
