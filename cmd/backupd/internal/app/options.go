package app

import (
	"log/slog"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
	"github.com/sitebackup/sitebackup/jobs"
)

// Options say what a process does.
type Options struct {
	API     bool // serve the HTTP API and the dashboard
	Workers bool // make backups
	Migrate bool // migrate the database first, instead of asking that it is
	Version string
	Log     *slog.Logger

	// Listener is where the API is served. Defaults to the address in the
	// configuration. The app closes it.
	Listener net.Listener
}

// checkPatience bounds finding out whether the destination can be written to,
// with checkRetries, so few that the reason comes before that; and StopPatience
// the time from the wish to stop to the end.
const (
	checkPatience = 30 * time.Second
	checkRetries  = 3
	StopPatience  = 25 * time.Second
)

// bodies larger than this are none that the dashboard sends.
const maxDashboardBody = 1 << 20

func jobsConfig(w *config.Workers, leases *pgxpool.Pool, log *slog.Logger) *jobs.Config {
	return &jobs.Config{
		WorkerID: w.ID, StableID: w.StableID, PartSize: int64(w.PartSize), Concurrency: w.Concurrency, BufferBudget: int64(w.BufferBudget),
		LeaseDuration: time.Duration(w.LeaseDuration), Heartbeat: time.Duration(w.Heartbeat),
		JournalBytes: int64(w.JournalBytes), JournalInterval: time.Duration(w.JournalEvery),
		ControlWorkers: w.ControlWorkers, VerifyWorkers: w.VerifyWorkers, StepAttempts: w.StepAttempts, MaxTasks: w.MaxTasks, LeasePool: leases, Logger: log,
	}
}
