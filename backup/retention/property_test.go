package retention_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	_ "time/tzdata" // the zones of this test, wherever it runs

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/retention"
)

var zones = []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu"}

// TestRandomHistories goes through 100,000 random histories and policies with
// BACKUP_TEST_SOAK=1, and 5,000 without: the race detector makes them slow.
func TestRandomHistories(t *testing.T) {
	t.Parallel()
	const workers = 4
	n := 5000
	if os.Getenv("BACKUP_TEST_SOAK") == "1" {
		n = 100_000
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for seed := w; seed < n && !t.Failed(); seed += workers {
				if err := checkHistory(rand.New(rand.NewPCG(uint64(seed), 5))); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			}
		})
	}
	wg.Wait()
}

func checkHistory(r *rand.Rand) error {
	h := randomHistory(r)
	input := slices.Clone(h.backups)
	plan := retention.Plan(h.backups, h.groups, h.now)
	if !sameBackups(input, h.backups) {
		return fmt.Errorf("the input was changed")
	}
	if err := checkPartition(h, plan); err != nil {
		return err
	}
	for _, d := range plan {
		if want := h.oracle(d.Backup); d.Keep != want {
			return fmt.Errorf("%+v: keep is %t %q, must be %t; now %s", d.Backup, d.Keep, d.Reasons, want, h.now)
		}
		if len(d.Reasons) == 0 {
			return fmt.Errorf("%s has no reason", d.Backup.ID)
		}
	}
	r.Shuffle(len(h.backups), func(i, j int) { h.backups[i], h.backups[j] = h.backups[j], h.backups[i] })
	if again := retention.Plan(h.backups, h.groups, h.now); fmt.Sprint(again) != fmt.Sprint(plan) {
		return fmt.Errorf("the order of the input changes the plan")
	}
	var kept []retention.Backup
	for _, d := range plan {
		if d.Keep {
			kept = append(kept, d.Backup)
		}
	}
	for _, d := range retention.Plan(kept, h.groups, h.now) {
		if !d.Keep {
			return fmt.Errorf("%s was kept, and is removed from what was kept", d.Backup.ID)
		}
	}
	return checkMonotone(r, h, plan)
}

// checkMonotone makes one field of one policy larger.
func checkMonotone(r *rand.Rand, h *history, plan []retention.Decision) error {
	name := fmt.Sprintf("g%d", r.IntN(2))
	g := h.groups[name]
	if !valid(g.Policy) {
		return nil
	}
	larger, field := *g.Policy, r.IntN(9)
	counts := []*int{&larger.KeepLast, &larger.KeepHourly, &larger.KeepDaily, &larger.KeepWeekly, &larger.KeepMonthly, &larger.KeepYearly, &larger.AtLeast}
	switch {
	case field < len(counts):
		*counts[field] += 1 + r.IntN(4)
	case field == 7:
		larger.KeepWithin += retention.Duration(1+r.IntN(500)) * retention.Duration(time.Hour)
	default:
		d := 7 * 24 * retention.Duration(time.Hour)
		if larger.KeepFailed != nil {
			d = *larger.KeepFailed
		}
		d += retention.Duration(1+r.IntN(500)) * retention.Duration(time.Hour)
		larger.KeepFailed = &d
	}
	h.groups[name] = retention.Group{Policy: &larger, Location: g.Location}
	for i, d := range retention.Plan(h.backups, h.groups, h.now) {
		if plan[i].Keep && !d.Keep {
			return fmt.Errorf("%s is kept by %+v, and removed by %+v", d.Backup.ID, *g.Policy, larger)
		}
	}
	return nil
}

func valid(p *retention.Policy) bool { return p.Validate() == nil }

// checkPartition checks that the plan has every backup once, newest first, and
// what no policy can change.
func checkPartition(h *history, plan []retention.Decision) error {
	byID := make(map[string]retention.Backup)
	for _, b := range h.backups {
		byID[b.ID] = b
	}
	seen := make(map[string]bool) // providers whose newest good copy was met
	for i, d := range plan {
		b, ok := byID[d.Backup.ID]
		if !ok || fmt.Sprint(b) != fmt.Sprint(d.Backup) {
			return fmt.Errorf("%s is in the plan twice, or not what was given", d.Backup.ID)
		}
		delete(byID, b.ID)
		if i > 0 && !newer(plan[i-1].Backup, b) {
			return fmt.Errorf("%s is out of order", b.ID)
		}
		if (b.Held || b.Status == retention.Open) && b.Status != retention.Deleting && !d.Keep {
			return fmt.Errorf("%s is held or open, and goes", b.ID)
		}
		if b.Status != retention.Good || b.At.After(h.now) {
			continue
		}
		for _, p := range b.Providers {
			if (!seen[p] || h.endedLast(b, p)) && !d.Keep {
				return fmt.Errorf("%s is the newest good copy of %s, and goes", b.ID, p)
			}
			seen[p] = true
		}
	}
	if len(byID) > 0 {
		return fmt.Errorf("not in the plan: %v", byID)
	}
	return nil
}

func sameBackups(a, b []retention.Backup) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

func newer(a, b retention.Backup) bool {
	return a.At.After(b.At) || a.At.Equal(b.At) && strings.Compare(a.ID, b.ID) > 0
}

func TestRandomHistoriesMeetEveryReason(t *testing.T) {
	t.Parallel()
	met := make(map[string]int)
	for seed := range 1000 {
		h := randomHistory(rand.New(rand.NewPCG(uint64(seed), 5)))
		for _, d := range retention.Plan(h.backups, h.groups, h.now) {
			for _, reason := range d.Reasons {
				code, _, _ := strings.Cut(reason, " ")
				code, _, _ = strings.Cut(code, ":")
				met[code]++
			}
		}
	}
	for _, code := range []string{
		"held", "open", "no-policy", "invalid-policy", "unknown-status", "future", "last", "within", "hourly", "daily",
		"weekly", "monthly", "yearly", "at-least", "newest-good", "failed-recent", "corrupt-recent", "no-newer-good",
		"policy", "failed-age", "corrupt-superseded", "deleting",
	} {
		require.Greater(t, met[code], 15, code)
		delete(met, code)
	}
	require.Empty(t, met, "codes that aren't listed")
}
