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
	Cron              string            `json:"cron" doc:"When: five fields (minute, hour, day of month, month, day of week), a macro such as @daily, or @every and a duration. A local time that daylight saving skips runs right behind the gap, and one that comes twice runs once." example:"30 2 * * *"`
	TimeZone          string            `json:"timeZone,omitempty" default:"UTC" doc:"The IANA name of the zone that it counts in." example:"Europe/Berlin"`
	Spread            string            `json:"spread,omitempty" doc:"Moves all runs of the schedule by a time between 0 and this, at most 24h, that follows from its id: a thousand schedules for one time don't start at once." example:"30min"`
	CatchUp           string            `json:"catchUp,omitempty" enum:"none,last" default:"last" doc:"What becomes of slots that passed while no worker was there: the last one is started however late it is, or none that is more than 5 minutes late."`
	Overlap           string            `json:"overlap,omitempty" enum:"skip,queue,allow" default:"skip" doc:"What becomes of a slot while an earlier backup of the schedule hasn't ended: it is skipped, waits for that one's end, or starts beside it."`
	StartingDeadline  string            `json:"startingDeadline,omitempty" doc:"How late a slot may be started; at least 60s. Left out: however late." example:"6h"`
	Paused            bool              `json:"paused,omitempty" doc:"Its slots are skipped, and recorded so."`
	Retention         *RetentionPolicy  `json:"retention,omitempty" doc:"Which of its backups are kept; left out: what the server's default says."`
	MaxAge            string            `json:"maxAge,omitempty" doc:"How old its newest good backup may be before that is an alert; at least 60s. Left out: there is none." example:"26h"`
	Providers         []string          `json:"providers,omitempty" doc:"The exports to make. Defaults to all that are configured." example:"[\"site\",\"db\"]"`
	Labels            map[string]string `json:"labels,omitempty" doc:"Its backups' labels; at most 32, keys of 1 to 63 bytes and values of at most 255." example:"{\"plan\":\"gold\"}"`
	ContinueOnFailure bool              `json:"continueOnFailure,omitempty" doc:"Let the other exports run on when one fails for good. The backup is failed then, too."`
	SizeLimit         int64             `json:"sizeLimit,omitempty" minimum:"0" doc:"The most bytes that all exports of a backup together may have. 0, and more than the server's own limit, mean that one." example:"107374182400"`
}

// ScheduleRequest is the body of POST /schedule.
type ScheduleRequest struct {
	UserID string `json:"userId" doc:"The user whose site it is: 1 to 200 bytes when percent-encoded, without control characters." minLength:"1" maxLength:"200" example:"658683afc91423af04d82152"`
	SiteID string `json:"siteId" doc:"The site, under the same rule." minLength:"1" maxLength:"200" example:"658683afc91423af04d82153"`
	Name   string `json:"name,omitempty" default:"default" doc:"Tells the schedules of a site apart: 1 to 63 letters, digits, dots, dashes and underscores. It can't be changed." minLength:"1" maxLength:"63" example:"nightly"`
	ScheduleSettings
}

// RetentionPolicy says which backups of a schedule are kept: each that at least one rule
// keeps. The newest good copy of each provider of a user's site is kept whatever it says.
type RetentionPolicy struct {
	KeepLast    int     `json:"keepLast,omitempty" minimum:"0" maximum:"100000" doc:"The newest of this many." example:"7"`
	KeepWithin  string  `json:"keepWithin,omitempty" doc:"Those younger than this." example:"30d"`
	KeepHourly  int     `json:"keepHourly,omitempty" minimum:"0" maximum:"100000" doc:"The newest of each of the last hours that have one."`
	KeepDaily   int     `json:"keepDaily,omitempty" minimum:"0" maximum:"100000" doc:"The newest of each of the last days that have one." example:"14"`
	KeepWeekly  int     `json:"keepWeekly,omitempty" minimum:"0" maximum:"100000" doc:"The newest of each of the last ISO weeks that have one." example:"8"`
	KeepMonthly int     `json:"keepMonthly,omitempty" minimum:"0" maximum:"100000" doc:"The newest of each of the last months that have one." example:"12"`
	KeepYearly  int     `json:"keepYearly,omitempty" minimum:"0" maximum:"100000" doc:"The newest of each of the last years that have one."`
	AtLeast     int     `json:"atLeast,omitempty" minimum:"0" maximum:"100000" doc:"The newest copies of each provider." example:"3"`
	KeepFailed  *string `json:"keepFailed,omitempty" doc:"How long failed and canceled backups stay; left out: 7d." example:"7d"`
}

// Schedule starts backups of a user's site. A value that isn't there is left out.
type Schedule struct {
	ID       string `json:"id" format:"uuid" doc:"The schedule's id." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	UserID   string `json:"userId" example:"658683afc91423af04d82152"`
	SiteID   string `json:"siteId" example:"658683afc91423af04d82153"`
	Name     string `json:"name" example:"nightly"`
	Declared bool   `json:"declared,omitempty" doc:"It stands in the server's configuration file, and is changed and deleted there."`
	ScheduleSettings
	CreatedAt     time.Time  `json:"createdAt"`
	UpdatedAt     time.Time  `json:"updatedAt" doc:"When its settings last changed."`
	PausedAt      *time.Time `json:"pausedAt,omitempty"`
	NextSlot      *time.Time `json:"nextSlot,omitempty" doc:"The next time that the expression names."`
	NextRunAt     *time.Time `json:"nextRunAt,omitempty" doc:"When that is started: with the schedule's share of its spread."`
	LastSlot      *time.Time `json:"lastSlot,omitempty" doc:"The last slot of which it is decided what becomes of it."`
	QueuedSlot    *time.Time `json:"queuedSlot,omitempty" doc:"A slot that waits until earlier backups have ended."`
	LastSuccessAt *time.Time `json:"lastSuccessAt,omitempty" doc:"When its newest good backup was asked for."`
	StaleAt       *time.Time `json:"staleAt,omitempty" doc:"When that is, or was, older than maxAge."`
	Stale         bool       `json:"stale,omitempty" doc:"It is."`
	AlertAt       *time.Time `json:"alertAt,omitempty" doc:"Since when there is an alert for that."`
}

// UpcomingSlot is a time at which a schedule will start a backup.
type UpcomingSlot struct {
	Slot  time.Time `json:"slot" doc:"The time that the expression names."`
	RunAt time.Time `json:"runAt" doc:"When it is started: with the schedule's share of its spread."`
}

// ScheduleSlot is what became of a slot, or of several that were skipped one after
// another for one reason.
type ScheduleSlot struct {
	Slot     time.Time `json:"slot" doc:"The slot; of several, the first."`
	LastSlot time.Time `json:"lastSlot" doc:"The slot; of several, the last."`
	Slots    int       `json:"slots" doc:"How many they are." example:"1"`
	Status   string    `json:"status" enum:"started,queued,skipped" doc:"started: as the backup backupId. queued: it waits for the end of an earlier backup. skipped: for the reason beside it." example:"started"`
	Reason   string    `json:"reason,omitempty" enum:"overlap,deadline,paused,catchUp" doc:"overlap: an earlier backup hadn't ended. deadline: it was later than startingDeadline. paused: the schedule was. catchUp: its time had passed, and catchUp leaves it out."`
	BackupID string    `json:"backupId,omitempty" format:"uuid" doc:"The backup, which may be gone by now." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	At       time.Time `json:"at" doc:"When that was decided; of several, of the last."`
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
