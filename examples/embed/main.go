// Command embed shows backups in a program that runs River already: one River
// client works the program's own jobs and ours side by side.
//
//	DATABASE_URL=postgres://localhost/mydb go run ./examples/embed
//
// It serves a mock export API, so that there is something to back up, makes one
// backup of it in ./backups, prints what was stored, and ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/signal"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob/fileblob"
	"github.com/sitebackup/sitebackup/backup/httpexport"
	"github.com/sitebackup/sitebackup/examples/mockapi/export"
	"github.com/sitebackup/sitebackup/jobs"
	"github.com/sitebackup/sitebackup/migrations"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Getenv("DATABASE_URL"), "backups", os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

// mail is a job of the host's own.
type mail struct {
	To string `json:"to"`
}

// Kind is the name of the job in River.
func (mail) Kind() string { return "mail" }

// mailer is the host's worker.
type mailer struct {
	river.WorkerDefaults[mail]
	sent chan string
}

// Work sends one mail.
func (m *mailer) Work(_ context.Context, job *river.Job[mail]) error {
	m.sent <- job.Args.To
	return nil
}

func run(ctx context.Context, databaseURL, dir string, out io.Writer) error {
	if databaseURL == "" {
		return errors.New("set DATABASE_URL to a Postgres database, such as postgres://localhost/mydb")
	}
	pool, err := pgxpool.New(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	defer pool.Close()
	api := httptest.NewServer(export.NewHandler(export.Options{Name: "site", Size: 20 << 20}))
	defer api.Close()
	return embed(ctx, pool, api.URL, dir, out)
}

func embed(ctx context.Context, pool *pgxpool.Pool, api, dir string, out io.Writer) error {
	mailer := &mailer{sent: make(chan string, 1)}
	hostWorkers := river.NewWorkers()
	river.AddWorker(hostWorkers, mailer)

	// README:begin
	if _, err := migrations.Up(ctx, pool, nil); err != nil {
		return err
	}

	// What to back up, and where to.
	site, err := httpexport.New(&httpexport.Config{URL: api + "/export/{userId}/{siteId}"})
	if err != nil {
		return err
	}
	store, err := fileblob.New(dir, &fileblob.Options{Create: true})
	if err != nil {
		return err
	}
	backups, err := backup.New(&backup.Config{
		Pool:      pool,
		Store:     store,
		Providers: []backup.ProviderConfig{{Name: "site", Provider: site}},
	})
	if err != nil {
		return err
	}

	// Your River client: your workers and queues, and those that make backups.
	config := &river.Config{
		Workers: hostWorkers,
		Queues:  map[string]river.QueueConfig{"mail": {MaxWorkers: 10}},
	}
	workers, err := jobs.New(backups, nil)
	if err != nil {
		return err
	}
	if err := workers.Configure(config); err != nil {
		return err
	}
	client, err := river.NewClient(riverpgxv5.New(pool), config)
	if err != nil {
		return err
	}
	if err := client.Start(ctx); err != nil {
		return err
	}

	// Ask for a backup. StartTx does it in a transaction of yours.
	b, err := backups.Start(ctx, backup.StartParams{
		UserID: "658683afc91423af04d82152",
		SiteID: "658683afc91423af04d82153",
	})
	if err != nil {
		return errors.Join(err, stop(ctx, client))
	}
	// README:end
	return errors.Join(report(ctx, client, mailer, backups, b, out), stop(ctx, client))
}

// report sends a mail while the backup runs, and tells what became of the two.
func report(ctx context.Context, client *river.Client[pgx.Tx], m *mailer, backups *backup.Client, b *backup.Backup, out io.Writer) error {
	if _, err := client.Insert(ctx, mail{To: "ada@example.com"}, &river.InsertOpts{Queue: "mail"}); err != nil {
		return fmt.Errorf("insert mail: %w", err)
	}
	select {
	case to := <-m.sent:
		fmt.Fprintln(out, "mail sent to", to)
	case <-ctx.Done():
		return ctx.Err()
	}
	b, err := wait(ctx, backups, b.ID)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "backup", b.ID, "is", b.State)
	if b.State != backup.StateDone {
		return fmt.Errorf("backup is %s: %+v", b.State, b.Failure)
	}
	for _, t := range b.Tasks {
		fmt.Fprintf(out, "%s: %d bytes, sha256 %x, in %s\n", t.Provider, t.Size, t.SHA256, t.ObjectKey)
	}
	fmt.Fprintln(out, "manifest:", b.ManifestKey)
	return nil
}

// wait returns the backup when it has ended.
func wait(ctx context.Context, backups *backup.Client, id string) (*backup.Backup, error) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := backups.Get(ctx, id)
		if err != nil || b.State.Terminal() {
			return b, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// stop stops the client also when ctx has ended. A backup that still runs is
// handed over: it goes on where it was when the program is started again.
func stop(ctx context.Context, client *river.Client[pgx.Tx]) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return client.Stop(ctx)
}
