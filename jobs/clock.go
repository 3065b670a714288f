package jobs

import "time"

// now is the only place that reads the clock. Ages that matter to more than
// one process are computed in the database.
func now() time.Time { return time.Now() }
