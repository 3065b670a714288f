package cron

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// Offset spreads schedules that are due at the same time: it returns how far inside the window the schedule with this id starts, from 0
// to under window, in whole seconds. It depends on nothing else and is the same in every release, since a change would move
// everybody's runs. A window under two seconds gives 0.
func Offset(id string, window time.Duration) time.Duration {
	seconds := uint64(max(window, 0) / time.Second)
	if seconds == 0 {
		return 0
	}
	sum := sha256.Sum256([]byte(id))
	return time.Duration(binary.BigEndian.Uint64(sum[:8])%seconds) * time.Second //nolint:gosec // less than window
}
