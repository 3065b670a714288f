package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/azureblob"
	"github.com/sitebackup/sitebackup/backup/blob/fileblob"
	"github.com/sitebackup/sitebackup/backup/httpexport"
	"github.com/sitebackup/sitebackup/backup/retention"
)

// childEnv tells a process of the test binary that it is a worker, and which.
const childEnv = "BACKUP_TEST_WORKER"

// child is a worker process of its own, which can be killed for real. Signals
// that its steps and round trips send to itself are exact: nothing follows them.
type child struct {
	Database  string
	Schema    string
	Dir       string            // of the file store
	Azurite   string            // the connection string of the other store
	Container string            // of that store; "" for the file store
	URLs      map[string]string // of the export APIs
	DieAfter  string            // the step behind which it kills itself
	StopFor   string            // the step behind which it stops itself, once, with SIGSTOP
	StopAt    int64             // the round trip behind which it does, counted from 1
	StopIn    string            // a text in the key of an object of one part that it is about to write: it stops itself there, once
	KillIn    bool              // it kills itself when that is written
	StopBy    string            // a text in a statement of it, instead of its number, that found or changed rows
	Tells     bool              // it says what it has passed
	Idle      string            // River's idle_in_transaction_session_timeout
	Leads     bool              // it may lead, and rescues at once what nobody holds
	Defaults  bool              // all settings are those of Configure
	Config    *Config           // of the workers; defaults to testConfig with a short lease
	DieAt     int64             // the step behind which it kills itself, counted from 1 over all jobs
	DieIn     time.Duration     // how long behind that, while the others go on
	Retention *retention.Policy // the default
	Clock     *fastClock        // of its schedules; nil: the database's

	stopped sync.Once
	trips   atomic.Int64 // to Postgres
	jobs    atomic.Int64 // that run
	steps   atomic.Int64 // that were passed
}

// childMain is a worker process. It ends by being killed, by SIGTERM, or when
// its standard input ends because the test has.
func childMain(spec string) {
	var c child
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		panic(err)
	}
	if err := c.run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run works until standard input ends, and ends when every job has.
func (c *child) run(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	background := context.WithoutCancel(ctx)
	client, err := c.client(background)
	if err != nil {
		return err
	}
	w, err := New(client, c.workers())
	if err != nil {
		return err
	}
	w.passed = c.passed
	leave, err := w.TakeBack(background)
	if err != nil {
		return err
	}
	defer leave()
	rc := c.river()
	if err := w.Configure(rc); err != nil {
		return err
	}
	pool, err := c.pool(background, "river")
	if err != nil {
		return err
	}
	rclient, err := river.NewClient(riverpgxv5.New(pool), rc)
	if err != nil {
		return err
	}
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, syscall.SIGCONT)
	go c.tellWhenIdle(continued)
	if err := rclient.Start(background); err != nil {
		return err
	}
	fmt.Println("works as", rclient.ID())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	<-ctx.Done()
	limited, cancel := context.WithTimeout(background, 20*time.Second)
	defer cancel()
	return rclient.Stop(limited)
}

func (c *child) client(ctx context.Context) (*backup.Client, error) {
	pool, err := c.pool(ctx, "ledger")
	if err != nil {
		return nil, err
	}
	store, err := c.store()
	if err != nil {
		return nil, err
	}
	cfg := &backup.Config{Pool: pool, Schema: c.Schema, Store: store, Retention: c.Retention, Logger: slog.New(slog.DiscardHandler)}
	if c.Clock != nil {
		cfg.Now = c.Clock.now
	}
	for name, url := range c.URLs {
		p, err := httpexport.New(&httpexport.Config{URL: url})
		if err != nil {
			return nil, err
		}
		cfg.Providers = append(cfg.Providers, backup.ProviderConfig{Name: name, Provider: p})
	}
	return backup.New(cfg)
}

// pool is a pool as the command backupd has them: the ledger's and River's own.
func (c *child) pool(ctx context.Context, name string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(c.Database)
	if err != nil {
		return nil, err
	}
	cfg.ConnConfig.RuntimeParams["application_name"] = name
	cfg.ConnConfig.Tracer = &stopper{c, name}
	if name == "river" && c.Idle != "" {
		cfg.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = c.Idle
	}
	return pgxpool.NewWithConfig(ctx, cfg)
}

func (c *child) store() (blob.Store, error) {
	store, err := c.plainStore()
	if err != nil || c.StopIn == "" {
		return store, err
	}
	return &underway{Store: store, c: c}, nil
}

func (c *child) plainStore() (blob.Store, error) {
	if c.Container == "" {
		return fileblob.New(c.Dir, nil)
	}
	client, err := container.NewClientFromConnectionString(c.Azurite, c.Container, nil)
	if err != nil {
		return nil, err
	}
	return azureblob.New(client, nil)
}

// underway is a store whose process sleeps before it has sent the requests that write an
// object, and whose requests arrive then, before anybody has told their sender that its
// time is over.
type underway struct {
	blob.Store
	c    *child
	part blob.Part // the last one that was staged
	data []byte
}

func (u *underway) StagePart(ctx context.Context, key string, part blob.Part, data []byte) error {
	if strings.Contains(key, u.c.StopIn) {
		u.part, u.data = part, bytes.Clone(data)
	}
	return u.Store.StagePart(ctx, key, part, data)
}

func (u *underway) Commit(ctx context.Context, key string, parts []blob.Part, info blob.Info) error {
	if strings.Contains(key, u.c.StopIn) {
		u.c.stop("the writing of an object")
		ctx = context.WithoutCancel(ctx)
		if err := u.Store.StagePart(ctx, key, u.part, u.data); err != nil {
			return err
		}
	}
	err := u.Store.Commit(ctx, key, parts, info)
	if u.c.KillIn && strings.Contains(key, u.c.StopIn) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return err
}

func (c *child) workers() *Config {
	if c.Config != nil || c.Defaults {
		return c.Config
	}
	cfg := testConfig()
	cfg.LeaseDuration = 2 * time.Second
	return cfg
}

// river is the configuration of a process that doesn't lead, so that no time is
// lost with an election when it is killed, unless something else is asked for.
func (c *child) river() *river.Config {
	count := river.WorkerMiddlewareFunc(func(ctx context.Context, _ *rivertype.JobRow, inner func(context.Context) error) error {
		c.jobs.Add(1)
		defer c.jobs.Add(-1)
		return inner(ctx)
	})
	rc := &river.Config{Logger: slog.New(slog.DiscardHandler), Middleware: []rivertype.Middleware{count}}
	if c.Defaults {
		return rc
	}
	rc.FetchCooldown, rc.FetchPollInterval = 5*time.Millisecond, 50*time.Millisecond
	rc.JobTimeout, rc.RescueStuckJobsAfter = time.Second, time.Second
	rc.LeaderElectionDisabled = !c.Leads
	return rc
}

func (c *child) passed(step string) {
	if c.Tells {
		fmt.Println("passed step", step)
	}
	if c.steps.Add(1) == c.DieAt {
		time.AfterFunc(c.DieIn, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) })
	}
	if step == c.DieAfter {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // a signal to oneself may take a moment
	}
	if step == c.StopFor {
		c.stop("the step " + step)
	}
}

// stop stops the process, once, and returns when it was continued: until the
// signal has reached all threads others of them run on.
func (c *child) stop(where string) {
	c.stopped.Do(func() {
		continued := make(chan os.Signal, 1)
		signal.Notify(continued, syscall.SIGCONT)
		fmt.Println("stops behind", where)
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		<-continued
	})
}

// tellWhenIdle says so when the process was continued and what it was about has
// ended.
func (c *child) tellWhenIdle(continued <-chan os.Signal) {
	<-continued
	for tick := time.NewTicker(10 * time.Millisecond); c.jobs.Load() > 0; {
		<-tick.C
	}
	fmt.Println("idle", "again")
}

// spawn starts a worker process.
func (b *bundle) spawn(dir, dieAfter string) *exec.Cmd {
	b.Helper()
	return b.spawnChild(&child{Dir: dir, DieAfter: dieAfter}).Cmd
}

// process is a worker process that was started.
type process struct {
	*exec.Cmd
	input io.Closer // it works until this is closed
	said  *lines
}

// spawnChild starts a worker process that works until its input is closed.
func (b *bundle) spawnChild(c *child) *process {
	b.Helper()
	c.Database, c.Schema, c.URLs = b.pool.Config().ConnString(), b.schema, make(map[string]string)
	for name, a := range b.apis {
		c.URLs[name] = a.url
	}
	spec, err := json.Marshal(c)
	require.NoError(b, err)
	p := &process{Cmd: exec.CommandContext(b.ctx, os.Args[0]), said: &lines{}}
	p.Env = append(os.Environ(), childEnv+"="+string(spec))
	p.Stdout, p.Stderr = p.said, os.Stderr
	p.input, err = p.StdinPipe() // ends with this process
	require.NoError(b, err)
	require.NoError(b, p.Start())
	return p
}

// lines is what a process has said.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// after is the rest of the line that begins with prefix.
func (l *lines) after(prefix string) (rest string, found bool) {
	if rests := l.all(prefix); len(rests) > 0 {
		return rests[0], true
	}
	return "", false
}

// all is the rests of the lines that begin with prefix.
func (l *lines) all(prefix string) (rests []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if rest, found := strings.CutPrefix(line, prefix+" "); found && strings.HasSuffix(line, "\n") {
			rests = append(rests, strings.TrimSpace(rest))
		}
	}
	return rests
}
