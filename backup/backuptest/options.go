package backuptest

import (
	"cmp"
	"time"

	"github.com/google/uuid"

	"github.com/sitebackup/sitebackup/backup"
)

// Options say what a provider has to export, and what it promises. A nil
// *Options stands for all defaults.
type Options struct {
	// Request names an export that exists and has at least two bytes. Each check
	// reads it a few times, so a few MiB are plenty. UserID and SiteID default to
	// "user" and "site", BackupID and Provider to something that is valid.
	Request backup.ExportRequest

	// Other names another export, with other bytes. If it is set the two are read
	// at the same time, and must not be mixed up.
	Other *backup.ExportRequest

	// Deterministic: as long as nobody changes the source, the same request gives
	// the same bytes. Without it that is only checked of exports that have the same
	// Validator, which promises it.
	Deterministic bool

	// Resumes: a request with an offset and its validator, or its cursor, goes on
	// there. Without it the provider may start over.
	Resumes bool

	// AllowUnproven and AllowEmpty are those of backup.ProviderConfig.
	AllowUnproven bool
	AllowEmpty    bool

	// Stalled names an export whose source begins, and then sends nothing more
	// but doesn't end either. If it is set, a Read that waits must return when
	// the context is canceled, or the body closed.
	Stalled *backup.ExportRequest

	// Cut names an export whose source breaks off before its end. If it is set,
	// it must not look like a whole one.
	Cut *backup.ExportRequest

	// Refusals are requests that Export must fail.
	Refusals []Refusal

	// Secrets are texts that must be in no error, hint, validator and content
	// type: credentials, as a rule.
	Secrets []string

	// Soon is how long something may take that has to happen at once: a Read
	// returns after a cancel, Close returns. Defaults to 5 seconds.
	Soon time.Duration

	// Quiet is how long nothing must have arrived until a Read of Stalled is taken
	// to wait. Defaults to 200 milliseconds.
	Quiet time.Duration

	// Timeout bounds each check. Defaults to 1 minute.
	Timeout time.Duration
}

// Refusal is a request that Export must fail.
type Refusal struct {
	Name    string // "unknown site"
	Request backup.ExportRequest

	// Class is what backup.Classify must say of the error. Empty: any.
	Class backup.Class
}

// withDefaults returns a copy of o, which may be nil.
func (o *Options) withDefaults() *Options {
	var c Options
	if o != nil {
		c = *o
	}
	c.Request = fill(c.Request)
	for _, r := range []**backup.ExportRequest{&c.Other, &c.Stalled, &c.Cut} {
		if *r != nil {
			filled := fill(**r)
			*r = &filled
		}
	}
	c.Soon = cmp.Or(c.Soon, 5*time.Second)
	c.Quiet = cmp.Or(c.Quiet, 200*time.Millisecond)
	c.Timeout = cmp.Or(c.Timeout, time.Minute)
	return &c
}

// fill makes a first request of r that has all fields.
func fill(r backup.ExportRequest) backup.ExportRequest {
	r.BackupID = cmp.Or(r.BackupID, uuid.NewString())
	r.UserID = cmp.Or(r.UserID, "user")
	r.SiteID = cmp.Or(r.SiteID, "site")
	r.Provider = cmp.Or(r.Provider, "backuptest")
	r.Offset, r.Validator, r.Cursor = 0, "", ""
	return r
}
