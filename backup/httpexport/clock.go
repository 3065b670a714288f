package httpexport

import "time"

// systemNow is the clock of a Provider outside its tests. It is only asked what
// a Retry-After date means.
func systemNow() time.Time { return time.Now() }
