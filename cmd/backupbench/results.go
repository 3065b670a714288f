package main

import (
	"fmt"
	"slices"
	"time"
)

// results are the samples of all runs.
type results struct {
	samples map[item][]sample
	sums    map[size]string // digest of the export
}

func newResults() *results {
	return &results{samples: make(map[item][]sample), sums: make(map[size]string)}
}

// add notes a sample. Whoever has computed a digest must have computed the same one.
func (r *results) add(it item, s sample) error {
	if s.SHA256 != "" {
		if known := r.sums[it.size]; known != "" && known != s.SHA256 {
			return fmt.Errorf("its SHA-256 is %s, others have %s", s.SHA256, known)
		}
		r.sums[it.size] = s.SHA256
	}
	r.samples[it] = append(r.samples[it], s)
	return nil
}

// measureOf is one of the durations of a sample.
type measureOf func(*sample) time.Duration

func wall(s *sample) time.Duration          { return s.Wall }
func cpu(s *sample) time.Duration           { return s.CPU }
func processCPUOf(s *sample) time.Duration  { return s.processCPU }
func processWallOf(s *sample) time.Duration { return s.processWall }

// least and median are over all runs; 0 if there were none.
func (r *results) least(it item, m measureOf) time.Duration {
	all := r.sorted(it, m)
	if len(all) == 0 {
		return 0
	}
	return all[0]
}

func (r *results) median(it item, m measureOf) time.Duration {
	all := r.sorted(it, m)
	if len(all) == 0 {
		return 0
	}
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

func (r *results) sorted(it item, m measureOf) []time.Duration {
	var all []time.Duration
	for _, s := range r.samples[it] {
		all = append(all, m(&s))
	}
	slices.Sort(all)
	return all
}

// peak is the most memory of any run.
func (r *results) peak(it item) (most int64) {
	for _, s := range r.samples[it] {
		most = max(most, s.Peak)
	}
	return most
}
