package blob

import "time"

// now is the only clock of this package, besides timers.
func now() time.Time { return time.Now() }
