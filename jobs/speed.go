package jobs

import "time"

// speed is how fast bytes come in: a mean in which what is long ago weighs ever
// less.
type speed struct {
	at    time.Time
	bytes int64
	rate  float64 // bytes a second
}

// speedWeight is the share of the newest interval in the mean.
const speedWeight = 0.3

// update tells how many bytes there are at an instant, and returns the rate. A
// count that has fallen begins a new mean: the export was begun again.
func (s *speed) update(at time.Time, bytes int64) int64 {
	elapsed := at.Sub(s.at).Seconds()
	switch {
	case s.at.IsZero() || bytes < s.bytes:
		s.rate = 0
	case elapsed <= 0:
		return int64(s.rate)
	default:
		now := float64(bytes-s.bytes) / elapsed
		if s.rate == 0 {
			s.rate = now
		}
		s.rate += speedWeight * (now - s.rate)
	}
	s.at, s.bytes = at, bytes
	return int64(s.rate)
}
