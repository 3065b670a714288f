// Package jobs contains the River workers that make backups, one file per kind of job.
//
// A program that already runs River adds them to its own client:
//
//	workers, err := jobs.New(client, nil)
//	...
//	config := &river.Config{Workers: myWorkers, Queues: myQueues}
//	err = workers.Configure(config)
//	...
//	riverClient, err := river.NewClient(riverpgxv5.New(pool), config)
//
// # The kinds
//
//   - backup plans a backup: it resolves the providers, creates a task for each
//     and enqueues them.
//   - backup_task_<provider> makes one attempt at a task. Each provider has a
//     queue of its own, so that it can be limited, paused and inspected
//     separately.
//   - backup_seal writes the manifest when every task is done.
//   - backup_delete removes a backup: its manifest, its objects, its rows.
//   - backup_verify reads a backup's copy and compares it with its manifest. It
//     has a queue of its own, too.
//   - backup_schedule ticks every ten seconds and starts the backups that are due.
//   - backup_freshness finds schedules whose newest good backup has become too old,
//     and calls [backup.Config.OnEvent].
//   - backup_retention runs every hour on the hour: it deletes the backups that no policy
//     keeps, begins deletions again that were given up, and removes what suspended
//     workers wrote after a deletion.
//   - backup_forgotten does the last for erased users and sites, whose places nothing names
//     any more: once a day, if such a deletion is due, it lists the whole store for what
//     was written there. It shares the queue of verifications and takes up to 12 hours.
//   - backup_erase erases everything that belongs to a user or a site.
//   - backup_prune runs every hour and removes the details and receipts that
//     [backup.Config.Keep] no longer keeps.
//   - backup_reconcile runs every minute and repairs what was done to the other jobs
//     behind the workers' backs.
//
// # Who leads
//
// Of all River clients in a schema one leads: it makes the periodic jobs, and rescues what
// dead workers had. Every client that may lead has to know our kinds and settings, from
// [Workers.Configure]; a program of yours whose client in the same schema has no workers
// of ours sets LeaderElectionDisabled, or uses another schema. Otherwise, while it leads,
// no schedule ticks, nothing is repaired or removed, and our jobs are discarded where they
// should be rescued. Each process with workers warns when no periodic job was made for 5
// minutes.
//
// # Who may write
//
// The rows of package backup are the source of truth; River's jobs only make a worker
// look at them. A worker claims a row by writing a random token into it, and renews that
// lease every few seconds, all leases of a process in one statement. Each of its later
// writes is conditional on the token. A worker that can't renew a lease stops working
// on it before it expires; one that was suspended past that point (a zombie) finds that
// its writes have no effect.
//
// River's own rescue of dead workers' jobs depends on the lease: River calls Timeout
// both before it runs a job, where the answer is "none", and in its rescuer, where the
// answer is "none" as long as the lease is alive. So a task may run for days, and yet a
// dead worker's task resumes within 90 seconds.
//
// A process with a Config.StableID doesn't have to wait even that long: it holds the id
// by an advisory lock, and when it restarts after a crash it takes back what its
// predecessor held ([Workers.TakeBack]).
//
// # Watching the workers
//
// The log ([Config].Logger) has a warning for each attempt that failed, an error for each
// task that failed for good, and a line for each task and backup that is done, with ids and
// without names. [Workers.Stats] are the counts of a process, for a Prometheus, say.
//
// # The connections of the River client
//
// When a process is suspended, or its host loses power, the locks of its open
// transactions remain until TCP gives up, after two hours by default. This library's own
// transactions set a timeout of ten seconds for that. River's don't, so give River's
// pool an idle_in_transaction_session_timeout. Otherwise a leader that is suspended in
// the middle of its election has no successor:
//
//	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
//		_, err := conn.Exec(ctx, "SET idle_in_transaction_session_timeout = '10s'")
//		return err
//	}
//
// # The commit gate
//
// A task's bytes are staged where nobody can see them. Once the end of the stream is
// proven, one statement makes the task committing and stores the complete part list, the
// length and the SHA-256. From then on, whoever holds the lease commits exactly that
// list, without reading the source again.
package jobs
