// Package jobs has the River workers that make backups: one file per kind.
//
// A host that runs River already adds them to its own client:
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
//   - backup plans: it resolves the providers, makes a task for each and
//     enqueues them.
//   - backup_task_<provider> makes one attempt at a task. Each provider has a
//     queue of its own, so that it can be limited, paused and looked at by
//     itself.
//   - backup_seal writes the manifest when every task is done.
//   - backup_delete removes a backup: its manifest, its objects, its rows.
//   - backup_verify reads a backup's copy and compares it with its manifest. It
//     has a queue of its own, too.
//   - backup_retention runs every full hour: it deletes what the policies let go of, and
//     removes what stopped workers have written behind a deletion.
//   - backup_reconcile runs every minute and mends what was done to the other
//     jobs behind the workers' backs.
//
// # Who may write
//
// The rows of package backup are the truth, and River's jobs only make somebody
// look at them. A worker claims a row by writing a random token into it, and
// renews that lease every few seconds, all leases of a process in one
// statement. Each of its later writes is conditional on the token. A worker that
// couldn't renew stops itself before the lease ends; one that slept through it
// (a zombie) finds that its writes do nothing.
//
// River's own rescue of dead workers' jobs asks the lease: River calls Timeout
// both before it runs a job, where the answer is "none", and in its rescuer,
// where the answer is "none" as long as the lease is alive. So a task may run
// for days, and a dead worker's task goes on within 90 seconds.
//
// A process with a Config.StableID doesn't even wait for that: it holds the id by
// an advisory lock, and when it comes up again after a crash it takes back what its
// predecessor held ([Workers.TakeBack]).
//
// # The connections of the River client
//
// A process that is stopped, or whose host loses its power, leaves the locks of its
// open transactions behind until TCP gives up, two hours by default. Ours say
// themselves that they end after ten seconds of silence. River's don't: give its
// pool an idle_in_transaction_session_timeout, so that a leader which was stopped
// in the middle of its election has a successor:
//
//	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
//		_, err := conn.Exec(ctx, "SET idle_in_transaction_session_timeout = '10s'")
//		return err
//	}
//
// # The commit gate
//
// A task's bytes are staged where nobody sees them. When the end of the stream
// is proven, one statement makes the task committing and stores the whole part
// list, the length and the SHA-256. From then on whoever holds the lease commits
// exactly that list, without reading the source again.
package jobs
