package app

import "time"

// now is the only place that reads the clock.
func now() time.Time { return time.Now() }
