package httpexport

import "time"

// SetNow sets the clock of a provider.
func SetNow(p *Provider, now func() time.Time) { p.now = now }
