// Command backupd backs up users' sites: it reads each provider's export, streams it to
// the destination, proves what it stored, and reports on it over HTTP.
//
//	backupd demo            try everything, with nothing set up
//	backupd config check    report everything that is wrong with the configuration
//	backupd config print    print the effective configuration
//	backupd store check     check that the destination does what backups rely on
//	backupd migrate         prepare the database, or show the state of its migrations
//	backupd serve           serve the API and make backups
//	backupd token new       make a credential for the API
//	backupd backup          start, list, show, watch, cancel, retry, verify, download and
//	                        delete backups on a server: --server and --token, or
//	                        BACKUPD_SERVER and BACKUPD_TOKEN
//	backupd schedule        manage the schedules on a server, and show their next and past runs
//	backupd retention plan  show which backups on a server retention would remove, and why
//	backupd erasure         erase everything that a server has of a user or a site, and show
//	                        the receipt
//	backupd verify          prove a copy offline, with nothing but the copy
//	backupd version         print the version
//
// The exit status is 0 on success, 1 on an error, and 2 if the command line is invalid.
// The commands that talk to a server distinguish more: 3 means that the backup failed or
// was canceled, or that its copy is damaged; 4 that there is no such backup, schedule or
// erasure; 5 that the token is missing or isn't allowed to do this; and 6 that the state
// of the backup or schedule doesn't allow it. With --output json they print JSON. The
// first Ctrl-C or SIGTERM shuts backupd down in an orderly way, and one that only waits
// for a server ends with status 130; a second one ends it at once, with status 130.
//
// # Operations
//
// Getting it. With Go: go install github.com/sitebackup/sitebackup/cmd/backupd@latest.
// As an image: docker build --target backupd --build-arg VERSION=1.2.3 . makes one of a
// single static binary that runs without rights.
//
// Probes. /healthz says that the process answers, and looks at nothing else: it is for
// restarts. /readyz says that the database is reachable and migrated and the destination
// usable: it is for load balancers. /freshness says whether backups are made as
// scheduled, and is for a dead-man's switch outside. A process with --no-api answers the
// first two, and /metrics, on the address of --probe-listen. A process that is told to
// stop hands its exports over; give it 30 seconds.
//
// Metrics. Set alerts on these:
//
//   - backup_schedules{state="alerting"} > 0, or /freshness: a site's newest good backup
//     is older than its schedule's maxAge.
//   - backup_schedules_overdue > 0, or time() - backup_last_success_timestamp_seconds of
//     a provider too large: nobody makes backups.
//   - sitebackup_oldest_open_backup_age_seconds larger than your longest backup takes:
//     something is stuck, or the workers are too few.
//   - rate(sitebackup_worker_attempts_total{outcome="failed"}[1h]) > 0: exports fail for
//     good. Compared with outcome="done", outcome="retryable" shows a source that is
//     getting worse.
//   - rate(sitebackup_worker_leases_lost_total[1h]) > 0: workers are cut off from the
//     database, or have too little CPU.
//   - sitebackup_stats_up == 0: the counts are old, since the database can't be asked.
//
// The log has a WARN for each attempt that failed, an ERROR for each export that failed
// for good, and an INFO for each export and backup that is done, with the ids to look up.
//
// Upgrading. Run the new release's "backupd migrate up" first, then replace the processes
// one after another: migrations only add, and the workers of a release and of the one
// before it work side by side. To go back, put the old binary back; migrate down is not
// needed for it, and loses data.
//
// Draining a provider. Pause its queue, backup_task_ and the name, in River UI: what runs
// ends, and nothing new begins until you resume it. Backups wait meanwhile.
//
// Restoring the database to an earlier time. Stop all processes, restore, run migrate up
// and start them. Backups that ended after that time have no rows any more, but their
// objects and manifests are in the store, and "backupd verify --offline --manifest"
// checks them. Those that were under way then go on or begin again; no two attempts'
// bytes mix, since leases are random tokens. Erasures since then must be asked for again.
//
// Rotating tokens. Add the new token's entry ("backupd token new") beside the old one,
// restart the API's processes one after another, switch the callers, then remove the old
// entry and restart again. A provider's or the destination's credential comes from the
// environment: change it and restart. An export that is under way is handed over and
// goes on with the new one.
//
// Retrying many backups. With the cause gone:
//
//	backupd backup list --status failed --since 2026-01-02T00:00:00Z --limit 0 --output json |
//		jq -r '.[].id' | xargs -n 1 backupd backup retry
//
// Retry keeps the exports that are done and young enough, and goes on in the others where
// they stopped.
//
// An erasure that doesn't end. "backupd erasure show" says how far it is. It waits for a
// running export to stop, at most for a lease; a destination that can't be reached holds
// it up, and it goes on by itself. It is refused while a backup is under a legal hold:
// end that first, with "backupd backup release".
//
// Getting data back. "backupd backup download" copies a backup, checks each SHA-256 and
// goes on where it was interrupted. Without the server, copy the objects that the
// manifest names from the store with any tool, and check them with "backupd verify
// --offline".
package main
