package jobs

import (
	"cmp"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"github.com/sitebackup/sitebackup/backup"
)

const (
	// rescueAfter is how long a River job runs before River's rescuer asks us
	// whether its worker is alive. It looks every 30 seconds, and a new leader
	// takes up to 20 seconds to be elected, so that a dead worker's task goes on
	// elsewhere within 90 seconds.
	rescueAfter = 45 * time.Second

	// softStop is how long jobs have to end by themselves when the process
	// stops, before they are told to journal and hand over.
	softStop = time.Second

	reconcileEvery = time.Minute

	// fetchCooldown is the shortest time between two fetches of a queue's jobs.
	// River's own, 100 ms, would be a third of what a tiny backup takes from being
	// asked for to its end, and would hold a queue of four workers to forty jobs a
	// second.
	fetchCooldown = 10 * time.Millisecond

	keepCompleted = 24 * time.Hour
	keepFailed    = 7 * 24 * time.Hour
)

// AddWorkers registers the workers with a host's own bundle. The host's River
// client also needs the settings that Configure makes; without its rescue
// settings a dead worker's task waits for an hour. Any client in the schema that may
// lead needs them, see Configure.
func (w *Workers) AddWorkers(bundle *river.Workers) error {
	if err := river.AddWorkerSafely(bundle, &planWorker{base[planArgs]{w: w}}); err != nil {
		return fmt.Errorf("add worker: %w", err)
	}
	if err := river.AddWorkerSafely(bundle, &sealWorker{base[sealArgs]{w: w}}); err != nil {
		return fmt.Errorf("add worker: %w", err)
	}
	if err := river.AddWorkerSafely(bundle, &deleteWorker{base[deleteArgs]{w: w}}); err != nil {
		return fmt.Errorf("add worker: %w", err)
	}
	if err := river.AddWorkerSafely(bundle, &verifyWorker{base[verifyArgs]{w: w}}); err != nil {
		return fmt.Errorf("add worker: %w", err)
	}
	if err := river.AddWorkerSafely(bundle, &scheduleWorker{w: w}); err != nil {
		return fmt.Errorf("add worker: %w", err)
	}
	if err := river.AddWorkerSafely(bundle, &retentionWorker{w: w}); err != nil {
		return fmt.Errorf("add worker: %w", err)
	}
	if err := river.AddWorkerSafely(bundle, &forgottenWorker{w: w}); err != nil {
		return fmt.Errorf("add worker: %w", err)
	}
	if err := river.AddWorkerSafely(bundle, &freshnessWorker{w: w}); err != nil {
		return fmt.Errorf("add worker: %w", err)
	}
	if err := river.AddWorkerSafely(bundle, &reconcileWorker{w: w}); err != nil {
		return fmt.Errorf("add worker: %w", err)
	}
	if err := river.AddWorkerSafely(bundle, &eraseWorker{w: w}); err != nil {
		return fmt.Errorf("add worker: %w", err)
	}
	if err := river.AddWorkerSafely(bundle, &pruneWorker{w: w}); err != nil {
		return fmt.Errorf("add worker: %w", err)
	}
	for _, name := range w.client.ProviderNames() {
		if err := w.addTaskWorker(bundle, name); err != nil {
			return err
		}
	}
	return nil
}

// addTaskWorker turns the panic of River's function for kinds that are known
// at run time only into an error.
func (w *Workers) addTaskWorker(bundle *river.Workers, provider string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("add worker: %v", p)
		}
	}()
	args := taskArgs{TaskArgs: backup.TaskArgs{Provider: provider}}
	river.AddWorkerArgs(bundle, args, &taskWorker{base: base[taskArgs]{w: w}, provider: w.client.Provider(provider)})
	return nil
}

// Configure completes the configuration of the River client that will run the
// workers: the schema, the workers, a queue per provider, the periodic jobs,
// and the timeouts on which the rescue of dead workers' tasks stands. What a
// host has set itself stays, and is refused where the workers can't live with
// it. What it hasn't becomes: a JobTimeout of 45 seconds (River's is a minute),
// a SoftStopTimeout of one second, a FetchCooldown of 10 milliseconds on the
// queues that are added (River's is 100); with the queue "default" that is
// added for requests from other languages, FetchOnlyKnownKinds; and for how long River
// keeps jobs that have ended: completed ones for a day, canceled and discarded ones
// for a week. Nothing of ours needs them. River keeps canceled ones for a day, but
// that is how ours end when they have failed for good, and those are looked for.
//
// River's leader makes the periodic jobs and rescues dead workers' jobs, and any client
// in the schema may become it. So each client there is configured by this, or has
// LeaderElectionDisabled: one that leads without it makes no periodic job, so that
// schedules, retention and repairs stand still, and discards our jobs where it should
// rescue them. A process with workers warns when no periodic job was made for 5 minutes.
func (w *Workers) Configure(rc *river.Config) error {
	if rc.Schema != "" && rc.Schema != w.client.Schema() {
		return fmt.Errorf("the River client's Schema is %q and the backup.Client's %q: they must be the same", rc.Schema, w.client.Schema())
	}
	rc.Schema = w.client.Schema()
	if rc.Workers == nil {
		rc.Workers = river.NewWorkers()
	}
	if err := w.AddWorkers(rc.Workers); err != nil {
		return err
	}
	w.addQueues(rc)
	if !rc.LeaderElectionDisabled { // only a leader inserts periodic jobs
		rc.PeriodicJobs = append(rc.PeriodicJobs, periodicJobs()...)
	}
	rc.Hooks = append(rc.Hooks, &w.ticks)
	if rc.SoftStopTimeout == 0 {
		rc.SoftStopTimeout = softStop
	}
	rc.CompletedJobRetentionPeriod = cmp.Or(rc.CompletedJobRetentionPeriod, keepCompleted)
	rc.CancelledJobRetentionPeriod = cmp.Or(rc.CancelledJobRetentionPeriod, keepFailed)
	rc.DiscardedJobRetentionPeriod = cmp.Or(rc.DiscardedJobRetentionPeriod, keepFailed)
	if err := configureRescue(rc); err != nil {
		return err
	}
	w.patience = min(enterPatience, rc.RescueStuckJobsAfter/2)
	return nil
}

// periodicJobs are ticks: what is due is read from our own tables.
func periodicJobs() []*river.PeriodicJob {
	reconcile := func() (river.JobArgs, *river.InsertOpts) {
		return backup.ReconcileArgs{}, &river.InsertOpts{Queue: backup.QueueControl, MaxAttempts: 1}
	}
	tick := func() (river.JobArgs, *river.InsertOpts) {
		return backup.ScheduleArgs{}, &river.InsertOpts{Queue: backup.QueueControl, MaxAttempts: 1}
	}
	freshness := func() (river.JobArgs, *river.InsertOpts) {
		return backup.FreshnessArgs{}, &river.InsertOpts{Queue: backup.QueueControl, MaxAttempts: 1}
	}
	return []*river.PeriodicJob{
		river.NewPeriodicJob(hourly{}, retainJob, &river.PeriodicJobOpts{ID: backup.KindRetention}),
		river.NewPeriodicJob(hourly{}, forgottenJob, &river.PeriodicJobOpts{ID: backup.KindForgotten}),
		river.NewPeriodicJob(hourly{}, pruneJob, &river.PeriodicJobOpts{ID: backup.KindPrune}),
		river.NewPeriodicJob(river.PeriodicInterval(tickEvery), tick, &river.PeriodicJobOpts{ID: backup.KindSchedule, RunOnStart: true}),
		river.NewPeriodicJob(river.PeriodicInterval(freshnessEvery), freshness, &river.PeriodicJobOpts{ID: backup.KindFreshness, RunOnStart: true}),
		river.NewPeriodicJob(river.PeriodicInterval(reconcileEvery), reconcile, &river.PeriodicJobOpts{ID: backup.KindReconcile, RunOnStart: true}),
	}
}

func (w *Workers) addQueues(rc *river.Config) {
	if rc.Queues == nil {
		rc.Queues = make(map[string]river.QueueConfig)
	}
	cooldown := cmp.Or(rc.FetchCooldown, fetchCooldown)
	if rc.FetchPollInterval > 0 { // River wants it to be no shorter than the cooldown
		cooldown = min(cooldown, rc.FetchPollInterval)
	}
	add := func(name string, maxWorkers int) {
		if _, ok := rc.Queues[name]; !ok {
			rc.Queues[name] = river.QueueConfig{MaxWorkers: maxWorkers, FetchCooldown: cooldown}
		}
	}
	add(backup.QueueControl, w.cfg.ControlWorkers)
	add(backup.QueueVerify, w.cfg.VerifyWorkers)
	if _, ok := rc.Queues[river.QueueDefault]; !ok {
		// Other languages' clients insert there, and so may others: leave alone what
		// isn't ours.
		add(river.QueueDefault, w.cfg.ControlWorkers)
		rc.FetchOnlyKnownKinds = true
	}
	for _, name := range w.client.ProviderNames() {
		most := w.client.Provider(name).MaxWorkers
		if w.cfg.MaxTasks > 0 { // more would only wait here, and out of turn
			most = min(most, w.cfg.MaxTasks)
		}
		add(backup.QueueTaskPrefix+name, most)
	}
}

func configureRescue(rc *river.Config) error {
	if rc.JobTimeout == 0 { // River wants it to be no longer than RescueStuckJobsAfter
		rc.JobTimeout = cmp.Or(min(rc.RescueStuckJobsAfter, rescueAfter), rescueAfter)
	}
	if rc.JobTimeout > rescueAfter {
		return fmt.Errorf("the River client's JobTimeout must be at most %s, or a dead worker's tasks wait longer; give the jobs that need more a Timeout of their own", rescueAfter)
	}
	if rc.RescueStuckJobsAfter == 0 {
		rc.RescueStuckJobsAfter = rescueAfter
	}
	if rc.RescueStuckJobsAfter > rescueAfter {
		return fmt.Errorf("the River client's RescueStuckJobsAfter must be at most %s; give the jobs that need more a Timeout of their own", rescueAfter)
	}
	return nil
}
