// Package retention says which backups of one pair {user, site} stay, which go,
// and why. It is a pure function, Plan, of the backups, the policies and the
// time: it reads no clock and no table, and removes nothing. What it says
// before anything is removed is what happens then.
//
//	policy := &retention.Policy{KeepLast: 7, KeepWeekly: 4, KeepMonthly: 12}
//	plan := retention.Plan(backups, map[string]retention.Group{"": {Policy: policy}}, now)
//	for _, d := range plan {
//		fmt.Println(d.Backup.ID, d.Keep, d.Reasons) // 0193… true [last daily…]
//	}
//
// # What never goes
//
//   - The newest good copy of each provider of the pair, whichever schedule made
//     it and whatever any policy says: "newest-good:<provider>". If the newest
//     backup has no copy of some provider, an older one stays for that provider.
//     The newest is the one that was asked for last, and also the one that ended last,
//     where that is another: a backup that failed and was retried days later has
//     newer data than its date says.
//   - A backup on hold: "held".
//   - A backup that hasn't ended: "open".
//   - Any backup of a group without a policy: "no-policy". A policy that
//     Validate refuses counts as none, "invalid-policy": a typing error must not
//     empty a store.
//   - A good backup dated after now: "future". A clock was wrong, or the plan's
//     time is. It counts for no rule either, so that one backup from next
//     year doesn't push every real one out of "the last 7". Once its time has come it is
//     like any other.
//   - A backup in a status that this package doesn't know: "unknown-status".
//
// # What a policy keeps
//
// A policy governs a group, which is what one schedule made, or, under "", what
// no schedule did. Only good backups of the group count. A corrupt, failed
// or open one takes nobody's place; one on hold does if it is good. A backup
// stays if at least one rule keeps it; the rules know nothing of each other, and
// each kept backup lists all that keep it.
//
//   - KeepLast N: the newest N.
//   - KeepWithin D: those younger than D. One that is exactly D old is not. Age is
//     measured from now, not from the newest backup: when backups stop being
//     made, this rule alone lets go of them one by one, down to what never goes.
//     Set AtLeast or KeepLast beside it.
//   - KeepHourly, KeepDaily, KeepWeekly, KeepMonthly, KeepYearly N: the newest one
//     of each of the last N hours, days, ISO weeks (they begin on Monday), months
//     or years that have a good one. Hours and days without one don't count:
//     KeepDaily 7 is seven backups, however long ago, once there are that many days.
//     The calendar is that of the group's time zone.
//   - AtLeast N: the newest N copies of each provider. For a pair whose backups
//     all have all providers it is KeepLast; where some have less, it goes as far
//     back as it must for the missing provider.
//
// No rule fills up for another: a policy that is at least as large in each
// field keeps at least the same backups. And planning what a plan has kept, at
// the same time, removes nothing.
//
// The hour that a clock repeats in autumn is two hours, told apart by their offset from
// UTC: "hourly 2026-10-25T02+02:00" and "hourly 2026-10-25T02+01:00".
//
// Whoever knows restic: these are the rules of restic forget, except that
// KeepWithin counts from now, that the oldest backup isn't kept in addition while a rule
// has places left, and that −1 doesn't mean all.
//
// # What goes
//
//   - A good backup that no rule keeps: "policy".
//   - A failed or canceled one that ended KeepFailed ago or longer (7 days, if it isn't set):
//     "failed-age". Before that it stays, "failed-recent": somebody may
//     want to know why.
//   - A corrupt one that ended KeepFailed ago or longer, if of each provider it has a copy
//     of there is a newer good one in the pair: "corrupt-superseded". Until
//     then it stays, "corrupt-recent" or "no-newer-good:<provider>": a damaged copy
//     is better than none, and it may be the store that is wrong.
//   - One that is being removed already: "deleting". It counts for nothing.
package retention
