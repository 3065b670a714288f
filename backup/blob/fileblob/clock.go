package fileblob

import "time"

// systemTime is the only clock of this package. Store.now holds it.
func systemTime() time.Time { return time.Now() }
