// Package backup is how you ask for backups and find out what became of them. This
// page describes the design of the whole system.
//
// # The promise
//
// A program that holds other people's data owes its users backups. Here, a
// backup marked done is a complete, provable copy:
//
//   - A task is done only when the end of its source's stream was proven, every
//     byte was hashed on its way in, the store holds the object at that length,
//     and that fact is in Postgres.
//   - A backup is done only when all its tasks are and its manifest, which is
//     written last, is in the store. No manifest, no backup.
//   - A crash, a deploy or a broken connection costs seconds, not the transfer.
//   - Asking is transactional: [Client.StartTx] writes in the caller's own
//     transaction. If it rolls back, nothing exists; if it commits, the backup
//     will run.
//
// # Asking for a backup
//
// [New] makes a [Client]. A program that only asks for backups needs neither a store
// nor providers, and links in neither workers nor a cloud SDK:
//
//	client, err := backup.New(&backup.Config{})
//	...
//	b, err := client.StartTx(ctx, tx, backup.StartParams{UserID: "u1", SiteID: "s1"})
//
// Programs in other languages insert a River job of kind "backup"; see [PlanArgs].
//
// [Client.Get] and [Client.List] report the state of backups, [Client.Cancel] and
// [Client.Retry] change it, and [Client.Events] lists every change, each of which was
// recorded in the transaction that made it. A [Watcher] follows events as they are
// written.
//
// [Client.Hold] protects a backup from deletion, as a legal hold does, until
// [Client.Release]. [Client.Delete] removes a backup, its objects first and its rows
// last. [Client.Verify] has the stored copy read again and compared with the manifest;
// [VerifyCopy] does the same with nothing but a store. [Client.PutSchedule] has backups
// started at set times. A [Scope] names the tenants that a caller may see.
//
// # The life of a backup
//
//	StartTx ──row + River job──▶ plan ──a task and a job per provider──▶ tasks ──the last one──▶ seal
//
// A backup is pending until it is planned: a River job of kind "backup" resolves the
// providers and creates a task for each, with a River job in that provider's own queue.
// Then the backup is running. When the last task is done, the same transaction makes
// the backup sealing and enqueues the job that writes the manifest; once that is in the
// store, the backup is done. When a task fails for good, the backup is failed and the
// other tasks are canceled, unless ContinueOnFailure was asked for.
//
// The workers are in package jobs. They write through a [Ledger], whose methods are
// fenced: a worker holds a lease, with a random token, on whatever it works on, and each
// of its writes takes effect only if that token is still in the row.
//
// # Locking and concurrency
//
// The row of the backup is always locked first, then those of its tasks. The number of
// open tasks is an exact counter in the backup's row. Every change is guarded in SQL by
// the state it leaves, so when two changes race, one of them loses cleanly. READ
// COMMITTED is assumed. Ages are computed in the database, so the clocks of the
// processes may differ.
//
// Changes that many tasks of a process need at the same time are written together: one
// statement per kind of change, over all the rows, in one transaction. A row that
// somebody else has locked is left out, and its change waits on its own.
//
// # The life of a task
//
// The worker asks the [Provider] for the export and streams it, in parts of a fixed size
// and in bounded memory, into the store, where it stays invisible for now (see package
// blob). A journal in Postgres keeps up with it: which parts are stored, and the state of
// the SHA-256 over them. A later attempt resumes where the journal ends, provided that
// the source can prove that it still serves the same bytes ([Export.Validator]), or gave a
// cursor from which to resume ([Export.Cursor]). Otherwise the attempt starts over under
// a new name, so that the bytes of two attempts never mix.
//
// When the stream ends, its end has to be proven: the announced length arrived, a digest
// matched, or the framing ended properly ([End]). A stream that merely stopped proves
// nothing. Then one statement takes the task through the commit gate: the task is now
// committing, and its part list, length and SHA-256 are final. From then on, whoever
// holds the lease commits exactly that list, without reading the source again. Cancel,
// retry and the failure of a sibling wait for a task that is committing.
//
// # Attempts
//
// Every failed attempt has a class. After a permanent failure the task has failed. After
// a retryable one it is tried again, after a backoff that doubles from one second to five
// minutes, less a random amount of up to a quarter. If the source or the store said how
// long to wait (Retry-After), the task waits that long, and no attempt is used up.
// [ProviderConfig.MaxAttempts] and RetryFor bound all of this. The wait is in the task's
// row, and holds whatever becomes of the River job: one that somebody retries in River UI
// before that time is put off again, and says until when.
//
// A worker that died or was stopped is no failure. But when three workers in a row have
// died without storing a byte more of the export, it may be what kills them: the task then
// waits before each further attempt, at first for a minute, then twice as long each time,
// up to an hour; and when twenty have died in a row, it has failed for good. So it is with
// the planning, sealing, deletion and verification of a backup.
//
// An attempt that resumed an earlier one and got further resets the
// count: a transfer that breaks off a hundred times but advances each time will finish,
// while one that always starts over may never do so. [Task.Attempts] records what each
// attempt did.
//
// # Limits and fairness
//
// Each provider's tasks have a queue of their own, of which every process works at most
// MaxWorkers at once. [ProviderConfig.MaxRunning] and [Config.MaxRunningPerUser] apply
// across all processes: they are counted when a task is claimed, and a task that finds no
// room waits, without a River job, until the end of another one makes room. Users with
// fewer open backups go first: the priority of a River job falls with the number of its
// user's older open backups (0; 1 to 3; 4 to 15; more), and rises again within a minute
// when those have ended, so a single backup never waits behind another user's thousand. Within a priority it is first come, first served; a
// task that is retried goes to the back of the queue.
//
// Sizes are limited per export ([ProviderConfig.MaxSize]) and per backup
// ([Config.MaxSize], [StartParams].MaxSize). The limits are checked when the backup is
// planned, if the source can tell the size ([Sizer]); against what the export announces,
// before a byte of it is read; and against what arrives: an export stops one byte beyond
// its limit, a backup at the first journal write that finds the sum exceeded.
// [ProviderConfig.MinSize] is for exports that are known never to be that small.
//
// # Schedules
//
// A [Schedule], created by [Client.PutSchedule], starts backups of one user's site. The
// slots of its cron expression are times on the clocks of its time zone: one that
// daylight saving skips comes right after the gap, and one that daylight saving repeats
// comes once (see package cron). A slot is started later than its nominal time by the
// schedule's share of Spread, which is derived from the schedule's id.
//
// The time of the next slot is stored in the schedule's row. A River job ticks every ten
// seconds, but it is only a wake-up call: [Ledger.TickSchedules] locks the rows that are
// due, so that no other process works on them, records what becomes of each of their slots,
// starts the backups and advances the rows, all in one transaction. So no slot is ever
// lost, whichever process was down in the meantime, and none is started twice: (schedule,
// slot) is unique among backups and among runs. Slots that weren't started are in
// [Client.ScheduleRuns] with the reason: the schedule was paused; the slot's time had
// passed and CatchUp or StartingDeadline ruled it out; or an earlier backup hadn't ended
// and Overlap ruled it out.
//
// A schedule that is edited continues after the last slot that was recorded.
//
// # Self-repair
//
// When a worker dies, its lease expires; River's rescuer checks the lease and gives the
// job to another worker. A reconciler, which runs every minute, finds jobs that were
// deleted, discarded or canceled behind the workers' backs. It replaces lost ones; if
// somebody canceled a job in River UI, it cancels the backup, unless the backup is already
// sealing.
//
// # Retention
//
// Package retention decides which backups of a pair {user, site} are kept, as a pure
// function of the backups, the policies and the time. The backups of a schedule are
// subject to the schedule's own policy ([ScheduleParams].Retention) or, if it has none, to
// the server's ([Config].Retention), in the schedule's time zone. That stays so when the
// schedule is deleted: the policy and the zone that it had last go on to hold, so that
// nothing is removed because of that. A new schedule of the same name judges only its own
// backups. Backups that no schedule started are together subject to the server's policy,
// in UTC. Without any policy everything is kept. The age of a backup counts from its
// CreatedAt.
//
// [Client.PlanRetention] reports what would be removed and why, and changes nothing. A River
// job does the removal, every hour on the hour: it goes through all pairs that have a
// policy, 100 at a time, and makes whatever is to go deleting, as [Client.Delete] does, so
// that a crash leaves nothing behind. Pairs with nothing to remove are read but not locked.
// The others are judged again while all their finished backups are locked, so that nobody
// can hold or retry one of them, or find damage in it, in the meantime. A backup that
// somebody else has locked isn't waited for. It is left out of the judgement, and that can
// only keep more backups, never fewer.
//
// A worker that was suspended for longer than its lease may write its object or manifest to
// the store after its backup has been deleted. Deletions therefore leave tombstones: ten
// minutes later, and again a week later, the same job looks at where the deleted backup
// was and removes what it finds. An erasure turns the tombstones of its tenant into digests
// that name nobody; for those another job looks through the whole store, once for all that
// are due since midnight in UTC. A deletion that was given up, because the store was away
// for too long, begins again with the next hour's pass.
//
// # What is kept, and for how long
//
// A pruner removes, every hour and in bounded batches, what [Config.Keep] no longer keeps.
// This bounds each table as follows:
//
//   - backup and backup_task: what retention, [Client.Delete] and [Client.Erase] leave.
//     Manifests are in backup.
//   - backup_event, the attempts in backup_task, and the journals, backup_part: those of
//     backups that are open, or that ended or had an event in the last 30 days
//     ([Keep].Details). Of an older backup the last event is kept, so that a reader of
//     events, wherever it resumes, learns what became of the backup; seq keeps counting. A
//     retry that comes so late starts at the first byte.
//   - backup_key: for Config.KeyLifetime, 24 hours; keys in the rows of backups live as
//     long as those rows.
//   - backup_slot: one row for each open task, if there are limits.
//   - backup_schedule: until it is deleted. backup_schedule_gone: a deleted schedule's
//     policy, as long as there is a backup of it. backup_schedule_run: 90 days ([Keep].Runs),
//     plus each schedule's last run, a waiting slot, and skips that are still going on.
//     backup_schedule_event: 90 days ([Keep].Alerts).
//   - backup_erasure: those under way, and receipts for 3 years ([Keep].Receipts).
//   - backup_tombstone: until 7 days and 10 minutes after a deletion. backup_forgotten, of
//     what was erased: about 9 days.
//   - river_job: what is still to be done; completed jobs for a day, canceled and discarded
//     ones for a week. jobs.Configure sets that unless the host has set it.
//
// An erasure leaves a receipt of counts and times that names nobody.
//
// With daily backups of 1,000 pairs, two exports each, that are kept for 60 days and 12
// months, all tables and their indexes take about half a gigabyte, not counting manifests,
// after a year just as after half a year.
//
// # Names in the store
//
//	<prefix>/<user>/<site>/<backup>/<provider>/<upload id>
//	<prefix>/<user>/<site>/<backup>/manifest.json
//
// Each segment is percent-encoded. A tenant's objects can be found by prefix.
//
// # What it doesn't do
//
// It doesn't restore, deduplicate or encrypt. It copies what an export API serves; that
// the export itself is good is the provider's word.
package backup
