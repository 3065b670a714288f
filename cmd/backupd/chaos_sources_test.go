package main_test

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

// chaosSources are the exports of the chaos test. Their sizes make a task last
// from a blink to seconds: a fault should find tasks in every state.
var chaosSources = []export.Options{
	{Name: "site", Size: 1 << 20},
	{Name: "db", Size: 300_001},
	{Name: "files", Size: 2<<20 + 12345},
}

// permanent are faults that no attempt gets around, and what the task's failure
// must then say.
var permanent = []struct {
	fault export.Fault
	says  string
}{
	{export.Fault{Status: http.StatusNotFound}, "404 Not Found"},
	{export.Fault{Status: http.StatusGone}, "410 Gone"},
	{export.Fault{Status: http.StatusForbidden}, "403 Forbidden"},
	{export.Fault{Empty: true}, "the export is empty"},
}

// permanentEvery is one in how many backups has a provider that fails for good.
const permanentEvery = 12

// doom says which provider of a site's backup fails for good and with what
// reason, or "".
func doom(seed uint64, site string) (provider, reason string, fault export.Fault) {
	rng := seeded(seed, site)
	if rng.IntN(permanentEvery) > 0 {
		return "", "", export.Fault{}
	}
	p := permanent[rng.IntN(len(permanent))]
	return chaosSources[rng.IntN(len(chaosSources))].Name, p.says, p.fault
}

// behavior is how a source treats the n-th request for a site. What it does to
// one depends on the seed, the site and n alone.
func behavior(seed uint64, o export.Options) func(r *http.Request, n int) export.Fault {
	return func(r *http.Request, n int) export.Fault {
		site := r.PathValue("siteId")
		if provider, _, fault := doom(seed, site); provider == o.Name {
			return fault
		}
		rng := seeded(seed, o.Name, site, fmt.Sprint(n))
		slow := export.Fault{}
		if rng.IntN(2) == 0 {
			slow.Rate = 100_000 + rng.Int64N(900_000)
		}
		if rng.IntN(5) > 1 {
			return slow
		}
		return passing(rng, o.Size, slow)
	}
}

// passing is a fault that the next request need not meet.
func passing(rng *rand.Rand, size int64, slow export.Fault) export.Fault {
	at := rng.Int64N(size)
	switch f := slow; rng.IntN(8) {
	case 0:
		f.Cut, f.After = true, at
		return f
	case 1:
		f.Cut, f.After, f.Framing = true, at, "chunked"
		return f
	case 2:
		f.Stall, f.After = true, at
		return f
	case 3:
		return export.Fault{Status: http.StatusServiceUnavailable, RetryAfter: "1"}
	case 4:
		return export.Fault{Status: http.StatusTooManyRequests, RetryAfter: "2"}
	case 5:
		return export.Fault{Status: http.StatusInternalServerError}
	case 6:
		f.NoRange = true
		return f
	default:
		return export.Fault{Digest: "header", WrongDigest: true}
	}
}

// seeded is a source of random numbers that depends on the words alone.
func seeded(seed uint64, words ...string) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintf(h, "%q", words)
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// chaosUser spreads the sites over a few users.
func chaosUser(i int) string { return fmt.Sprintf("user-%d", i%7) }

func chaosSite(i int) string { return fmt.Sprintf("site-%04d", i) }

func chaosParams(i int) backup.StartParams {
	return backup.StartParams{UserID: chaosUser(i), SiteID: chaosSite(i), IdempotencyKey: chaosSite(i)}
}

// between is a time from least on, and below most.
func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)))
}
