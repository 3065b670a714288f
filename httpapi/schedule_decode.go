package httpapi

import (
	"encoding/json"
	"time"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/retention"
)

const (
	durationRule = "must be a duration such as 90s, 30min, 26h or 7d: whole numbers with the units y, w, d, h, min and s, the largest first"
	countRule    = "must be a whole number"
)

// decodeSchedule reads the body of POST /schedule or, of a schedule that is named by its
// path, of PUT.
func decodeSchedule(data []byte, named bool) (p backup.ScheduleParams, err error) {
	o, err := readObject(data)
	if err != nil {
		return p, err
	}
	if !named {
		o.required("userId", &p.UserID)
		o.required("siteId", &p.SiteID)
		o.name("name", &p.Name)
	}
	o.required("cron", &p.Cron)
	o.optional("timeZone", &p.TimeZone, "must be a string")
	o.duration("spread", &p.Spread)
	o.optional("catchUp", &p.CatchUp, "must be none or last")
	o.optional("overlap", &p.Overlap, "must be skip, queue or allow")
	o.duration("startingDeadline", &p.StartingDeadline)
	o.optional("paused", &p.Paused, "must be a boolean")
	o.object("retention", func(o *object) { p.Retention = decodeRetention(o) })
	o.duration("maxAge", &p.MaxAge)
	o.optional("providers", &p.Providers, "must be an array of strings")
	o.optional("labels", &p.Labels, "must be an object of strings")
	o.optional("continueOnFailure", &p.ContinueOnFailure, "must be a boolean")
	o.optional("sizeLimit", &p.MaxSize, "must be a whole number of bytes")
	return p, o.end()
}

func decodeRetention(o *object) *retention.Policy {
	p := &retention.Policy{}
	for _, rule := range []struct {
		member string
		to     *int
	}{
		{"keepLast", &p.KeepLast}, {"keepHourly", &p.KeepHourly}, {"keepDaily", &p.KeepDaily}, {"keepWeekly", &p.KeepWeekly},
		{"keepMonthly", &p.KeepMonthly}, {"keepYearly", &p.KeepYearly}, {"atLeast", &p.AtLeast},
	} {
		o.optional(rule.member, rule.to, countRule)
	}
	o.duration("keepWithin", (*time.Duration)(&p.KeepWithin))
	if raw := o.members["keepFailed"]; raw != nil && !isNull(raw) {
		p.KeepFailed = new(retention.Duration) // 0 isn't the same as none
	}
	o.duration("keepFailed", (*time.Duration)(p.KeepFailed))
	return p
}

// name is optional, but refuses an empty one: it isn't the default's.
func (o *object) name(member string, to *string) {
	given := o.members[member]
	o.optional(member, to, "must be a string")
	if given != nil && string(given) == `""` {
		o.fail(member, "must not be empty")
	}
}

func (o *object) duration(member string, to *time.Duration) {
	var text *string
	bad := len(o.bad)
	o.optional(member, &text, durationRule)
	if text == nil || len(o.bad) > bad {
		return
	}
	d, err := retention.ParseDuration(*text)
	if err != nil {
		o.fail(member, durationRule)
		return
	}
	*to = time.Duration(d)
}

// object reads a member that is an object itself.
func (o *object) object(member string, read func(*object)) {
	raw, ok := o.members[member]
	delete(o.members, member)
	if !ok || isNull(raw) {
		return
	}
	inner := &object{within: o.within + member + "."}
	if err := json.Unmarshal(raw, &inner.members); err != nil {
		o.fail(member, "must be an object")
		return
	}
	read(inner)
	inner.refuseUnknown()
	o.bad = append(o.bad, inner.bad...)
}
