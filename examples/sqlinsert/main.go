// Command sqlinsert shows how a program in any language asks for a backup: it
// inserts a River job with plain SQL, as River's clients for other languages do.
//
//	DATABASE_URL=postgres://localhost/mydb go run ./examples/sqlinsert
//
// It inserts the same request twice, as a program does that doesn't know whether
// its first try went through. The workers make one backup of the two, in
// ./backups, because both have one idempotency_key.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob/fileblob"
	"github.com/sitebackup/sitebackup/jobs"
	"github.com/sitebackup/sitebackup/migrations"
)

// request is all that the other program needs. River fills in the rest, and
// finds the job when it next looks, a second later at most. The queue may be left
// out: workers serve this kind from "default" as well.
const request = `
	INSERT INTO backup.river_job (kind, queue, max_attempts, args)
	VALUES ('backup', 'backup', 25, '{
		"user_id": "bob",
		"site_id": "fish.example",
		"idempotency_key": "order-4711"
	}')`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Getenv("DATABASE_URL"), "backups", os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sqlinsert:", err)
		os.Exit(1)
	}
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
	if _, err := migrations.Up(ctx, pool, nil); err != nil {
		return err
	}
	for range 2 {
		if _, err := pool.Exec(ctx, request); err != nil {
			return fmt.Errorf("insert request: %w", err)
		}
	}
	return work(ctx, pool, dir, out)
}

// work runs the workers, which are Go, until they have dealt with every request.
func work(ctx context.Context, pool *pgxpool.Pool, dir string, out io.Writer) error {
	store, err := fileblob.New(dir, &fileblob.Options{Create: true})
	if err != nil {
		return err
	}
	backups, err := backup.New(&backup.Config{
		Pool: pool, Store: store,
		Providers: []backup.ProviderConfig{{Name: "greeting", Provider: greeting{}}},
	})
	if err != nil {
		return err
	}
	workers, err := jobs.New(backups, nil)
	if err != nil {
		return err
	}
	config := &river.Config{}
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
	err = wait(ctx, backups, out)
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return errors.Join(err, client.Stop(stopping))
}

// wait waits until the requests and what they started have ended, and prints
// what came of them.
func wait(ctx context.Context, backups *backup.Client, out io.Writer) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	const query = `SELECT count(*), count(*) FILTER (WHERE finalized_at IS NULL) FROM backup.river_job WHERE kind = 'backup' AND args->>'idempotency_key' = 'order-4711'`
	for {
		var requests, open int
		if err := backups.Pool().QueryRow(ctx, query).Scan(&requests, &open); err != nil {
			return fmt.Errorf("count requests: %w", err)
		}
		list, err := backups.List(ctx, backup.ListParams{UserID: "bob", SiteID: "fish.example"})
		if err != nil {
			return err
		}
		if open == 0 && ended(list) {
			fmt.Fprintln(out, "requests:", requests, "backups:", len(list))
			for _, b := range list {
				fmt.Fprintln(out, "backup", b.ID, "is", b.State)
			}
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func ended(list []*backup.Backup) bool {
	for _, b := range list {
		if !b.State.Terminal() {
			return false
		}
	}
	return true
}

// greeting is the least that a provider can be. See examples/provider for one
// that streams.
type greeting struct{}

// Export returns an export of a few bytes. Its length proves that it is whole.
func (greeting) Export(_ context.Context, req *backup.ExportRequest) (*backup.Export, error) {
	text := "hello, " + req.SiteID + "\n"
	return &backup.Export{Body: io.NopCloser(strings.NewReader(text)), Size: int64(len(text)), ContentType: "text/plain"}, nil
}
