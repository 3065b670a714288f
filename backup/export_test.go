package backup

// General returns the ledger without single statements: each verb goes the
// general way.
func (l *Ledger) General() *Ledger { return &Ledger{c: l.c, general: true} }
