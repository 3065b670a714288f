package jobs

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// Config configures the workers of a process. Its zero value is good.
type Config struct {
	// WorkerID names this process to operators. Defaults to the host's name, the
	// process id and a random suffix.
	WorkerID string

	// StableID stays the same when the process is restarted, and is no other
	// process's: the name of a StatefulSet's pod, say. A process that was killed
	// and comes up again then takes its own tasks back at once, see TakeBack. It is
	// not the id of the River client. Defaults to none.
	StableID string

	// PartSize is the size in bytes of the parts that exports are cut into. It
	// doubles every 10,000 parts, so that an object may have terabytes. Between
	// 64 KiB and 4,000 MiB. Defaults to 8 MiB.
	PartSize int64

	// Concurrency is how many parts of one task are sent to the store at once,
	// between 1 and 64; 12, of parts of 4 MiB, suit a distant store. Defaults to 4.
	Concurrency int

	// BufferBudget bounds the bytes that all tasks of the process together hold
	// in buffers. Defaults to 256 MiB.
	BufferBudget int64

	// LeaseDuration is how long a task stays with a worker that doesn't renew its
	// lease; at least 2 seconds. Defaults to 30 seconds.
	LeaseDuration time.Duration

	// Heartbeat is how often leases are renewed; at most a fifth of
	// LeaseDuration, so that one beat that fails costs no lease. Defaults to 5
	// seconds, or a sixth of a LeaseDuration that is set.
	Heartbeat time.Duration

	// JournalBytes and JournalInterval say how much a crash may take: the journal
	// is written when so many bytes are stored or so much time has passed,
	// whichever is first. A source that is ahead of it by JournalBytes and the
	// parts in flight isn't read on until it has followed. Default to 64 MiB and 2
	// seconds.
	JournalBytes    int64
	JournalInterval time.Duration

	// MaxTasks is how many tasks, of whatever providers, the process runs at once;
	// 0 sets no limit beside each provider's MaxWorkers. Those that wait for room go
	// by the priority of their River jobs.
	MaxTasks int

	// ControlWorkers is how many backups are planned, sealed or deleted at once.
	// Defaults to 10.
	ControlWorkers int

	// VerifyWorkers is how many backups are verified at once. Defaults to 2.
	VerifyWorkers int

	// StepAttempts is how often each of a backup's steps is attempted: planning,
	// sealing, deleting, verifying. Defaults to
	// 10.
	StepAttempts int

	// LeasePool has the connections that renew leases, so that these wait for nobody's
	// queries. One connection is enough. Defaults to the client's Pool.
	LeasePool *pgxpool.Pool

	// Logger defaults to the client's.
	Logger *slog.Logger
}

func (c *Config) defaults(client *backup.Client) error {
	if c.StableID != "" && c.WorkerID == "" {
		c.WorkerID = provisional(c.StableID)
	}
	if c.WorkerID == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		c.WorkerID = fmt.Sprintf("%s-%d-%s", host, os.Getpid(), uuid.NewString()[:8])
	}
	if c.Heartbeat == 0 && c.LeaseDuration != 0 {
		c.Heartbeat = c.LeaseDuration / 6
	}
	c.PartSize = cmp.Or(c.PartSize, 8<<20)
	c.Concurrency = cmp.Or(c.Concurrency, 4)
	c.BufferBudget = cmp.Or(c.BufferBudget, 256<<20)
	c.LeaseDuration = cmp.Or(c.LeaseDuration, 30*time.Second)
	c.Heartbeat = cmp.Or(c.Heartbeat, 5*time.Second)
	c.JournalBytes = cmp.Or(c.JournalBytes, 64<<20)
	c.JournalInterval = cmp.Or(c.JournalInterval, 2*time.Second)
	c.ControlWorkers = cmp.Or(c.ControlWorkers, 10)
	c.VerifyWorkers = cmp.Or(c.VerifyWorkers, 2)
	c.StepAttempts = cmp.Or(c.StepAttempts, 10)
	if c.Logger == nil {
		c.Logger = client.Logger()
	}
	return c.validate()
}

func (c *Config) validate() error {
	switch {
	case c.StableID != "" && c.WorkerID == c.StableID:
		return errors.New("WorkerID must not be StableID: it is the name while another process has that")
	case c.PartSize < 64<<10 || c.PartSize > 4000<<20:
		return errors.New("PartSize must be between 64 KiB and 4,000 MiB")
	case c.Concurrency < 1 || c.Concurrency > 64:
		return errors.New("Concurrency must be between 1 and 64")
	case c.BufferBudget < 2*c.PartSize:
		return errors.New("BufferBudget must be at least two parts")
	case c.LeaseDuration < 2*time.Second:
		return errors.New("LeaseDuration must be at least 2 seconds")
	case c.Heartbeat <= 0 || c.Heartbeat > c.LeaseDuration/5:
		return errors.New("Heartbeat must be at most a fifth of LeaseDuration")
	case c.JournalBytes < 1:
		return errors.New("JournalBytes must be positive")
	case c.JournalInterval < 10*time.Millisecond:
		return errors.New("JournalInterval must be at least 10 milliseconds")
	case c.MaxTasks < 0:
		return errors.New("MaxTasks must not be negative")
	case c.ControlWorkers < 1 || c.ControlWorkers > 10_000:
		return errors.New("ControlWorkers must be between 1 and 10,000")
	case c.VerifyWorkers < 1 || c.VerifyWorkers > 10_000:
		return errors.New("VerifyWorkers must be between 1 and 10,000")
	case c.StepAttempts < 1:
		return errors.New("StepAttempts must be at least 1")
	}
	return nil
}

// Workers are the workers of one process, and what they share: the heartbeat
// of their leases and the budget of their buffers.
type Workers struct {
	cfg      Config
	client   *backup.Client
	ledger   *backup.Ledger
	store    blob.Store
	heart    *heart
	buffers  *blob.Buffers
	stats    *stats
	running  running
	identity identity
	ticks    ticks
	room     *room         // for Config.MaxTasks; nil: no limit
	patience time.Duration // how long a task waits for room

	// passed is called with the name of each step behind which a crash must do
	// no harm. Tests crash there.
	passed func(step string)
}

// New makes the workers for client, whose Config needs Pool, Store and
// Providers.
func New(client *backup.Client, cfg *Config) (*Workers, error) {
	w := &Workers{client: client, ledger: client.Ledger(), store: client.Store(), patience: enterPatience, passed: func(string) {}}
	if cfg != nil {
		w.cfg = *cfg
	}
	if client.Pool() == nil {
		return nil, errors.New("workers need a backup.Client with a Pool")
	}
	if w.store == nil {
		return nil, fmt.Errorf("workers: %w", backup.ErrNoStore)
	}
	for _, name := range client.ProviderNames() {
		if client.Provider(name).Provider == nil {
			return nil, fmt.Errorf("workers: provider %q has no Provider", name)
		}
	}
	if err := w.cfg.defaults(client); err != nil {
		return nil, err
	}
	w.heart = newHeart(w.ledger.RenewOn(w.cfg.LeasePool), w.cfg.Heartbeat, w.cfg.LeaseDuration, w.cfg.Logger)
	w.ticks.w = w
	w.identity.set(w.cfg.WorkerID)
	w.buffers = blob.NewBuffers(w.cfg.BufferBudget)
	w.stats = newStats(client.ProviderNames())
	if w.cfg.MaxTasks > 0 {
		w.room = &room{free: w.cfg.MaxTasks}
	}
	return w, nil
}

func (w *Workers) claim(jobID int64) backup.ClaimParams {
	return backup.ClaimParams{JobID: jobID, Worker: w.identity.get(), Duration: w.cfg.LeaseDuration}
}

func (w *Workers) stepPolicy() backup.RetryPolicy {
	return backup.RetryPolicy{MaxAttempts: w.cfg.StepAttempts}
}
