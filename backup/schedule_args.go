package backup

// KindSchedule is the River kind of the tick that starts what is due.
const KindSchedule = "backup_schedule"

// ScheduleArgs are the args of the periodic River job that starts what is due.
type ScheduleArgs struct{}

// Kind is KindSchedule.
func (ScheduleArgs) Kind() string { return KindSchedule }
