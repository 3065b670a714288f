// Package backup is how you ask for backups, and how you learn what became of
// them. This page tells the design of the whole system.
//
// # The promise
//
// A program that holds other people's data owes its users backups. Here, a
// backup that says done is a complete, provable copy:
//
//   - A task is done only when the end of its source's stream was proven, every
//     byte was hashed on its way in, the store holds the object with that
//     length, and the fact is in Postgres.
//   - A backup is done only when every task is, and its manifest is in the
//     store, written last. No manifest, no backup.
//   - A crash, a deploy or a broken connection costs seconds, not the transfer.
//   - Asking is transactional: [Client.StartTx] writes in the caller's own
//     transaction. Rolled back, nothing exists; committed, it will run.
//
// # Asking
//
// A [Client] is made with [New]. A program that only asks needs neither a store
// nor providers, and links neither workers nor a cloud SDK:
//
//	client, err := backup.New(&backup.Config{})
//	...
//	b, err := client.StartTx(ctx, tx, backup.StartParams{UserID: "u1", SiteID: "s1"})
//
// Other languages insert a River job of kind "backup"; see [PlanArgs].
// [Client.Get] and [Client.List] tell how a backup stands, [Client.Cancel] and
// [Client.Retry] change that, and [Client.Events] lists every change, each
// written in the transaction that made it.
//
// [Client.Hold] keeps a backup from being deleted, as a legal hold does, until
// [Client.Release]; [Client.Delete] takes it away, its objects first and its rows
// last. [Client.Verify] has the stored copy read again and compared with the
// manifest; [VerifyCopy] does the same with nothing but a store. [Client.PutSchedule]
// has backups started at times. A [Scope] names the
// tenants that somebody may see. A [Watcher] follows events as they are written.
//
// # The way of a backup
//
//	StartTx ──row + River job──▶ plan ──a task and a job per provider──▶ tasks ──the last one──▶ seal
//
// Its row is pending until it is planned: a River job of kind "backup" resolves
// the providers and makes a task for each, with a River job in that provider's
// own queue. Then it is running. When the last task is done, the same
// transaction makes it sealing and enqueues the writing of the manifest; with
// that in the store it is done. When a task fails for good the backup is failed
// and the other tasks are canceled, unless ContinueOnFailure was asked for.
//
// Package jobs has the workers. They write through [Ledger], whose verbs are
// fenced: a worker holds a lease on what it works on, with a random token, and
// every write says that the token must still be there.
//
// # The rules of the tables
//
// The row of the backup is locked first, always, then its tasks. How many tasks
// are open is an exact counter in it. Every change is guarded in SQL by the state
// it leaves, so that two may race and one loses cleanly. READ COMMITTED is
// assumed. Ages are computed in the database, so that clocks may differ.
//
// What many tasks of a process need at the same time is written together: one
// statement for each kind of change, over all the rows, in one transaction. A row
// that somebody else has locked is left out, and its change waits alone.
//
// # A task's way
//
// The worker asks the [Provider] for the export and streams it, in parts of a
// fixed size and in bounded memory, into the store, where nobody sees it yet
// (package blob). A journal in Postgres follows: which parts are stored, and the
// state of the SHA-256 over them. A later attempt goes on where the journal ends,
// if the source can prove that it still serves the same bytes ([Export.Validator]),
// or gave a mark from which to go on ([Export.Cursor]); else it begins again under
// a new name, so that two attempts' bytes never mix.
//
// At the end of the stream, the end is proven: the announced length arrived, a
// digest matched, or the framing ended properly ([End]). A stream that merely
// stopped is no proof. Then one statement takes the task through the commit
// gate: it is committing, and its part list, length and SHA-256 are final. From
// there on whoever holds the lease commits exactly that, without reading the
// source again. Cancel, retry and failure of a sibling wait for a task that is
// committing.
//
// # Attempts
//
// An attempt that fails has a class. A permanent failure ends the task; after a
// retryable one it is tried again, behind a backoff that doubles from a second to
// five minutes, less up to a quarter at random; where the source or the store said
// how long to wait (Retry-After), it waits that long and no attempt is used up.
// [ProviderConfig.MaxAttempts] and RetryFor bound it all. A worker that died or was
// stopped is no failure; and an attempt that went on behind another one and came
// further starts the count again, since what breaks off a hundred times and
// advances each time will end, and what always begins again may not. [Task.Attempts]
// keeps what every attempt did.
//
// # Limits, and whose turn it is
//
// A provider's tasks have a queue of their own, of which each process works
// MaxWorkers at once. [ProviderConfig.MaxRunning] and [Config.MaxRunningPerUser]
// hold over all processes together: they are counted when a task is claimed, and
// one that finds no room waits without a River job until another one's end makes
// some. Who has fewer backups open goes first: a River job's priority falls with
// the number of older open backups of its user (0; 1 to 3; 4 to 15; more), so that
// a single backup never waits behind another user's thousand. Within a priority
// it is first come, first served; a task that is tried again queues anew.
//
// Sizes are limited per export ([ProviderConfig.MaxSize]) and per backup
// ([Config.MaxSize], [StartParams].MaxSize): when the backup is planned, if the
// source can tell ([Sizer]); by what the export announces, before a byte of it is
// read; and by what arrives: an export stops at its limit and one byte more, a
// backup at the journal write that finds the sum exceeded. [ProviderConfig.MinSize]
// is for exports that are never that small.
//
// # Schedules
//
// A [Schedule], put by [Client.PutSchedule], starts backups of a user's site. The slots of
// its cron expression are times on the clocks of its zone: one that daylight saving
// skips is right behind the gap, one that it repeats is there once (package cron). A
// slot runs behind its time by the schedule's share of Spread, which follows from its
// id.
//
// When the next slot runs is in the schedule's row. A River job ticks every ten seconds,
// but only wakes: [Ledger.TickSchedules] takes the rows that are due, as no other process
// does at that moment, writes what becomes of each of their slots, starts the backups,
// and moves the rows on, in one transaction. So a slot is never lost, whoever was dead
// meanwhile, and never started twice: (schedule, slot) is unique among backups and among
// runs. What wasn't started is in [Client.ScheduleRuns] with its reason: the schedule was
// paused; the slot's time had passed and CatchUp or StartingDeadline left it out; or an
// earlier backup hadn't ended and Overlap did.
//
// A schedule that is edited goes on behind the last slot of which something became.
//
// # What mends itself
//
// A dead worker's lease ends; River's rescuer asks the lease, and gives the job
// to another worker. Jobs that were deleted, discarded or canceled behind the
// workers' backs are found by a reconciler, every minute: lost ones are replaced,
// and where somebody canceled one in River UI the backup is canceled, unless it is
// sealing by then.
//
// # Retention
//
// Package retention decides which backups of a pair {user, site} stay, as a pure
// function of the backups, the policies and the time. Each schedule's backups are under
// its own policy ([ScheduleParams].Retention) or, without one, under the server's
// ([Config].Retention), in the schedule's time zone; those that no schedule has started,
// and those of schedules that are gone, are together under the server's, in UTC. Without
// any policy everything stays. A backup is as old as its CreatedAt says.
//
// [Client.PlanRetention] says what would go, and why, and does nothing. A River job does
// it, at every full hour: it goes through all pairs that have a policy, 100 at a time, and
// makes what is to go deleting, as [Client.Delete] does, so that a crash leaves nothing
// behind. Pairs with nothing to be removed are read and not locked. The others are judged
// again under the locks of all their backups that have ended, so that nobody can hold,
// retry or find damage in one of them meanwhile. A backup that somebody else has locked
// isn't waited for; it counts for nothing, and without it more stays, never less.
//
// A worker that was stopped for longer than its lease may write its object or manifest
// to the store when its backup has been deleted. So deletions leave tombstones: ten
// minutes and a week later that job looks at the places of deleted backups again, and
// removes what is there.
//
// # What is kept for how long
//
// A pruner, every hour and in bounded batches, removes what [Config.Keep] doesn't keep
// any more. So much there is at most in each table:
//
//   - backup and backup_task: what retention, [Client.Delete] and [Client.Erase] leave.
//     Manifests are in backup.
//   - backup_event, the attempts in backup_task, and the journals, backup_part: those of
//     backups that are open, or ended or had an event in the last 30 days
//     ([Keep].Details). Of an older one the last event stays, so that a reader of events,
//     wherever it goes on, gets what became of the backup; seq counts on. A retry so
//     late begins at the first byte.
//   - backup_key: as long as Config.KeyLifetime, 24 hours, and those that backups have
//     in their rows as long as these.
//   - backup_slot: one row for each open task, where there are limits.
//   - backup_schedule: until it is deleted. backup_schedule_run: 90 days ([Keep].Runs),
//     and of each schedule its last run, a slot that waits, and skips that go on.
//     backup_schedule_event: 90 days ([Keep].Alerts).
//   - backup_erasure: those under way, and receipts for 3 years ([Keep].Receipts).
//   - backup_tombstone: 7 days and 10 minutes behind a deletion.
//   - river_job: what is to be done, and of what has ended a day if it was completed and
//     a week if it was canceled or discarded. jobs.Configure sets that where the host
//     hasn't.
//
// An erasure leaves a receipt of counts and times, which names nobody.
//
// Of daily backups of 1,000 pairs, of two exports each, that are kept for 60 days and
// 12 months, all tables with their indexes take about half a gigabyte, the manifests aside,
// after a year as after half of one.
//
// # Names in the store
//
//	<prefix>/<user>/<site>/<backup>/<provider>/<upload id>
//	<prefix>/<user>/<site>/<backup>/manifest.json
//
// Each segment is percent-encoded. A tenant's objects are found by prefix.
//
// # What it doesn't do
//
// It doesn't restore, deduplicate or encrypt. It copies what an export API
// gives; that the export is a good one is the provider's word.
package backup
