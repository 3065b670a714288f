package backup

// KindSchedule is the River kind of the tick that starts what is due.
const KindSchedule = "backup_schedule"

// ScheduleArgs are the args of the periodic River job that starts what is due.
type ScheduleArgs struct{}

// Kind is KindSchedule.
func (ScheduleArgs) Kind() string { return KindSchedule }

// KindFreshness is the River kind of the job that finds schedules whose backups have
// become too old.
const KindFreshness = "backup_freshness"

// FreshnessArgs are the args of the periodic River job that finds schedules whose backups
// have become too old, and tells Config.OnEvent.
type FreshnessArgs struct{}

// Kind is KindFreshness.
func (FreshnessArgs) Kind() string { return KindFreshness }
