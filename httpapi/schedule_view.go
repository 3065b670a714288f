package httpapi

import (
	"time"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/retention"
)

// ScheduleSettings are what a schedule does, and the body of PUT /schedule/{id}.
// Durations are written like 90s, 30min, 26h or 1w2d: whole numbers with the units y, w,
// d, h, min and s, the largest first.
type ScheduleSettings struct {
	Cron              string            `json:"cron" doc:"When backups run: five fields (minute, hour, day of month, month, day of week), a macro such as @daily, or @every and a duration. A local time that daylight saving skips runs right after the gap, and one that occurs twice runs once." example:"30 2 * * *"`
	TimeZone          string            `json:"timeZone,omitempty" default:"UTC" doc:"The IANA name of the time zone in which the cron expression is read." example:"Europe/Berlin"`
	Spread            string            `json:"spread,omitempty" doc:"Delays all runs of the schedule by the same time, between 0 and this, at most 24h. The delay follows from the schedule's id, so that a thousand schedules for one time don't start at once." example:"30min"`
	CatchUp           string            `json:"catchUp,omitempty" enum:"none,last" default:"last" doc:"What happens to slots that passed while no worker was running: last starts the latest of them however late it is, and none starts no slot that is more than 5 minutes late."`
	Overlap           string            `json:"overlap,omitempty" enum:"skip,queue,allow" default:"skip" doc:"What happens to a slot while an earlier backup of the schedule hasn't ended. skip: it is skipped. queue: it waits until that backup has ended. allow: it is started all the same."`
	StartingDeadline  string            `json:"startingDeadline,omitempty" doc:"How late a slot may be started; at least 60s. If it is left out, there is no limit." example:"6h"`
	Paused            bool              `json:"paused,omitempty" doc:"Whether the schedule is paused: its slots are skipped, and recorded as skipped."`
	Retention         *RetentionPolicy  `json:"retention,omitempty" doc:"Which of the schedule's backups are kept. If it is left out, the server's default applies."`
	MaxAge            string            `json:"maxAge,omitempty" doc:"How old the schedule's newest good backup may get before an alert is raised; at least 60s. If it is left out, there are no alerts." example:"26h"`
	Providers         []string          `json:"providers,omitempty" doc:"The providers whose exports are made. Defaults to all that are configured." example:"[\"site\",\"db\"]"`
	Labels            map[string]string `json:"labels,omitempty" doc:"Labels for the schedule's backups: at most 32, with keys of 1 to 63 bytes and values of at most 255 bytes." example:"{\"plan\":\"gold\"}"`
	ContinueOnFailure bool              `json:"continueOnFailure,omitempty" doc:"Keep the other exports of a backup running when one fails for good. The backup fails in either case."`
	SizeLimit         int64             `json:"sizeLimit,omitempty" minimum:"0" doc:"The most bytes that all exports of a backup together may have. With 0, or with more than the server's own limit, the server's limit applies." example:"107374182400"`
}

// ScheduleRequest is the body of POST /schedule.
type ScheduleRequest struct {
	UserID string `json:"userId" doc:"The user whose site is backed up: 1 to 200 bytes when percent-encoded, without control characters." minLength:"1" maxLength:"200" example:"658683afc91423af04d82152"`
	SiteID string `json:"siteId" doc:"The site, under the same rule as userId." minLength:"1" maxLength:"200" example:"658683afc91423af04d82153"`
	Name   string `json:"name,omitempty" default:"default" doc:"The schedule's name, which is unique within the site: 1 to 63 letters, digits, dots, dashes and underscores. It can't be changed." minLength:"1" maxLength:"63" example:"nightly"`
	ScheduleSettings
}

// RetentionPolicy says which backups of a schedule are kept: each that at least one rule
// keeps. The newest good copy of each provider of a user's site is kept whatever it says.
type RetentionPolicy struct {
	KeepLast    int     `json:"keepLast,omitempty" minimum:"0" maximum:"100000" doc:"How many of the newest backups are kept." example:"7"`
	KeepWithin  string  `json:"keepWithin,omitempty" doc:"Backups younger than this are kept." example:"30d"`
	KeepHourly  int     `json:"keepHourly,omitempty" minimum:"0" maximum:"100000" doc:"For how many hours the newest backup of the hour is kept. Hours without a backup don't count."`
	KeepDaily   int     `json:"keepDaily,omitempty" minimum:"0" maximum:"100000" doc:"For how many days the newest backup of the day is kept. Days without a backup don't count." example:"14"`
	KeepWeekly  int     `json:"keepWeekly,omitempty" minimum:"0" maximum:"100000" doc:"For how many ISO weeks the newest backup of the week is kept. Weeks without a backup don't count." example:"8"`
	KeepMonthly int     `json:"keepMonthly,omitempty" minimum:"0" maximum:"100000" doc:"For how many months the newest backup of the month is kept. Months without a backup don't count." example:"12"`
	KeepYearly  int     `json:"keepYearly,omitempty" minimum:"0" maximum:"100000" doc:"For how many years the newest backup of the year is kept. Years without a backup don't count."`
	AtLeast     int     `json:"atLeast,omitempty" minimum:"0" maximum:"100000" doc:"How many of the newest copies of each provider's export are kept, whatever the other rules say." example:"3"`
	KeepFailed  *string `json:"keepFailed,omitempty" doc:"How long failed and canceled backups are kept. Defaults to 7d." example:"7d"`
}

// Schedule starts backups of a user's site. A value that isn't there is left out.
type Schedule struct {
	ID       string `json:"id" format:"uuid" doc:"The schedule's id." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	UserID   string `json:"userId" example:"658683afc91423af04d82152"`
	SiteID   string `json:"siteId" example:"658683afc91423af04d82153"`
	Name     string `json:"name" example:"nightly"`
	Declared bool   `json:"declared,omitempty" doc:"Whether the schedule is declared in the server's configuration file. Such a schedule can be changed and deleted only there."`
	ScheduleSettings
	CreatedAt     time.Time  `json:"createdAt"`
	UpdatedAt     time.Time  `json:"updatedAt" doc:"When the schedule's settings last changed."`
	PausedAt      *time.Time `json:"pausedAt,omitempty"`
	NextSlot      *time.Time `json:"nextSlot,omitempty" doc:"The next time that the cron expression names."`
	NextRunAt     *time.Time `json:"nextRunAt,omitempty" doc:"When the backup for nextSlot is started: nextSlot plus the schedule's share of its spread."`
	LastSlot      *time.Time `json:"lastSlot,omitempty" doc:"The last slot that was started, queued or skipped."`
	QueuedSlot    *time.Time `json:"queuedSlot,omitempty" doc:"The slot that waits until earlier backups have ended."`
	LastSuccessAt *time.Time `json:"lastSuccessAt,omitempty" doc:"When the schedule's newest good backup was requested."`
	StaleAt       *time.Time `json:"staleAt,omitempty" doc:"When the schedule's newest good backup becomes, or became, older than maxAge."`
	Stale         bool       `json:"stale,omitempty" doc:"Whether the schedule's newest good backup is older than maxAge."`
	AlertAt       *time.Time `json:"alertAt,omitempty" doc:"When the alert was raised that the newest good backup is older than maxAge. It is left out while there is no alert."`
}

// UpcomingSlot is a time at which a schedule will start a backup.
type UpcomingSlot struct {
	Slot  time.Time `json:"slot" doc:"The time that the cron expression names."`
	RunAt time.Time `json:"runAt" doc:"When the slot is started: its time plus the schedule's share of its spread."`
}

// ScheduleSlot is what became of a slot, or of several that were skipped one after
// another for one reason.
type ScheduleSlot struct {
	Slot     time.Time `json:"slot" doc:"The slot, or the first one if the entry stands for several."`
	LastSlot time.Time `json:"lastSlot" doc:"The last slot, if the entry stands for several."`
	Slots    int       `json:"slots" doc:"How many slots the entry stands for." example:"1"`
	Status   string    `json:"status" enum:"started,queued,skipped" doc:"What became of the slot. started: the backup backupId was started. queued: it waits until an earlier backup has ended. skipped: nothing was started, for the reason given in reason." example:"started"`
	Reason   string    `json:"reason,omitempty" enum:"overlap,deadline,paused,catchUp" doc:"Why the slot was skipped. overlap: an earlier backup hadn't ended. deadline: it was later than startingDeadline. paused: the schedule was paused. catchUp: its time had passed, and the catchUp setting leaves it out."`
	BackupID string    `json:"backupId,omitempty" format:"uuid" doc:"The backup that was started for the slot. It may have been deleted since." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	At       time.Time `json:"at" doc:"When this was decided. If the entry stands for several slots, when it was decided for the last of them."`
}

func viewSchedule(s *backup.Schedule) *Schedule {
	return &Schedule{
		ID: s.ID, UserID: s.UserID, SiteID: s.SiteID, Name: s.Name, Declared: s.Declared,
		ScheduleSettings: ScheduleSettings{
			Cron: s.Cron, TimeZone: s.TimeZone, Spread: durationText(s.Spread), CatchUp: string(s.CatchUp), Overlap: string(s.Overlap),
			StartingDeadline: durationText(s.StartingDeadline), Paused: s.Paused, Retention: viewRetention(s.Retention), MaxAge: durationText(s.MaxAge),
			Providers: s.Providers, Labels: s.Labels, ContinueOnFailure: s.ContinueOnFailure, SizeLimit: s.MaxSize,
		},
		CreatedAt: s.CreatedAt.UTC(), UpdatedAt: s.UpdatedAt.UTC(), PausedAt: utc(s.PausedAt),
		NextSlot: utc(s.NextSlot), NextRunAt: utc(s.NextRunAt), LastSlot: utc(s.LastSlot), QueuedSlot: utc(s.QueuedSlot),
		LastSuccessAt: utc(s.LastSuccessAt), StaleAt: utc(s.StaleAt), Stale: s.Stale, AlertAt: utc(s.AlertAt),
	}
}

// durationText is "" for none.
func durationText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return retention.Duration(d).String()
}

func viewRetention(p *retention.Policy) *RetentionPolicy {
	if p == nil {
		return nil
	}
	v := &RetentionPolicy{
		KeepLast: p.KeepLast, KeepWithin: durationText(time.Duration(p.KeepWithin)), KeepHourly: p.KeepHourly, KeepDaily: p.KeepDaily,
		KeepWeekly: p.KeepWeekly, KeepMonthly: p.KeepMonthly, KeepYearly: p.KeepYearly, AtLeast: p.AtLeast,
	}
	if p.KeepFailed != nil {
		text := p.KeepFailed.String()
		v.KeepFailed = &text
	}
	return v
}

func viewSlot(r *backup.ScheduleRun) ScheduleSlot {
	return ScheduleSlot{
		Slot: r.Slot.UTC(), LastSlot: r.LastSlot.UTC(), Slots: r.Slots, Status: string(r.Status), Reason: string(r.Reason),
		BackupID: r.BackupID, At: r.At.UTC(),
	}
}
