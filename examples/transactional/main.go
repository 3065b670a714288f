// Command transactional shows how a program asks for a backup in a transaction
// of its own: a site is deleted, and backed up first, or neither.
//
//	DATABASE_URL=postgres://localhost/mydb go run ./examples/transactional
//
// It makes a table example.site with one site and deletes it twice. The first
// time the transaction is rolled back, and no backup was ever asked for. The
// second time it is committed: the site's content is backed up to ./backups, and
// its row is removed when the copy is there.
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

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob/fileblob"
	"github.com/sitebackup/sitebackup/jobs"
	"github.com/sitebackup/sitebackup/migrations"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Getenv("DATABASE_URL"), "backups", os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "transactional:", err)
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
	if err := createSite(ctx, pool); err != nil {
		return err
	}
	store, err := fileblob.New(dir, &fileblob.Options{Create: true})
	if err != nil {
		return err
	}
	backups, err := backup.New(&backup.Config{
		Pool: pool, Store: store,
		Providers: []backup.ProviderConfig{{Name: "content", Provider: &contentProvider{pool}}},
	})
	if err != nil {
		return err
	}
	if err := rollBack(ctx, pool, backups, out); err != nil {
		return err
	}
	return commit(ctx, pool, backups, out)
}

func createSite(ctx context.Context, pool *pgxpool.Pool) error {
	if _, err := migrations.Up(ctx, pool, nil); err != nil {
		return err
	}
	_, err := pool.Exec(ctx, `
		CREATE SCHEMA IF NOT EXISTS example;
		CREATE TABLE IF NOT EXISTS example.site (id text PRIMARY KEY, user_id text NOT NULL, content text NOT NULL, deleted_at timestamptz);
		INSERT INTO example.site VALUES ('cats.example', 'ada', '<h1>Cats</h1>') ON CONFLICT (id) DO UPDATE SET deleted_at = NULL`)
	if err != nil {
		return fmt.Errorf("create site: %w", err)
	}
	return nil
}

// deleteSite marks a site as deleted and asks for its backup, both as a part of
// tx. Its row goes when the backup is done.
func deleteSite(ctx context.Context, tx pgx.Tx, backups *backup.Client, userID, siteID string) (*backup.Backup, error) {
	tag, err := tx.Exec(ctx, `UPDATE example.site SET deleted_at = now() WHERE user_id = $1 AND id = $2 AND deleted_at IS NULL`, userID, siteID)
	if err != nil {
		return nil, fmt.Errorf("delete site: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return nil, fmt.Errorf("delete site: user %q has no site %q", userID, siteID)
	}
	return backups.StartTx(ctx, tx, backup.StartParams{UserID: userID, SiteID: siteID, Labels: map[string]string{"reason": "deleted"}})
}

var errChangedMind = errors.New("the user changed their mind")

// rollBack deletes the site in a transaction that is rolled back: neither the
// backup nor its River job has ever existed.
func rollBack(ctx context.Context, pool *pgxpool.Pool, backups *backup.Client, out io.Writer) error {
	var id string
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		b, err := deleteSite(ctx, tx, backups, "ada", "cats.example")
		if err != nil {
			return err
		}
		id = b.ID
		return errChangedMind
	})
	if !errors.Is(err, errChangedMind) {
		return err
	}
	if _, err := backups.Get(ctx, id); !errors.Is(err, backup.ErrNotFound) {
		return fmt.Errorf("a backup outlived the transaction: %w", err)
	}
	fmt.Fprintln(out, "rolled back: no backup")
	return nil
}

// commit deletes the site in a transaction that is committed, works the backup,
// and then removes the site's row.
func commit(ctx context.Context, pool *pgxpool.Pool, backups *backup.Client, out io.Writer) error {
	var b *backup.Backup
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) (err error) {
		b, err = deleteSite(ctx, tx, backups, "ada", "cats.example")
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "committed: backup is", b.State)
	if b, err = work(ctx, backups, b.ID); err != nil {
		return err
	}
	if b.State != backup.StateDone {
		return fmt.Errorf("backup is %s: %+v", b.State, b.Failure)
	}
	fmt.Fprintf(out, "worked: backup is done, %d bytes in %s\n", b.Tasks[0].Size, b.Tasks[0].ObjectKey)
	if _, err := pool.Exec(ctx, "DELETE FROM example.site WHERE id = 'cats.example' AND deleted_at IS NOT NULL"); err != nil {
		return fmt.Errorf("remove site: %w", err)
	}
	return nil
}

// work runs the workers until the backup has ended. A real program runs them
// all the time, here or in another process.
func work(ctx context.Context, backups *backup.Client, id string) (*backup.Backup, error) {
	workers, err := jobs.New(backups, nil)
	if err != nil {
		return nil, err
	}
	config := &river.Config{}
	if err := workers.Configure(config); err != nil {
		return nil, err
	}
	client, err := river.NewClient(riverpgxv5.New(backups.Pool()), config)
	if err != nil {
		return nil, err
	}
	if err := client.Start(ctx); err != nil {
		return nil, err
	}
	b, err := wait(ctx, backups, id)
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return b, errors.Join(err, client.Stop(stopping))
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

// contentProvider exports a site's content, which is small enough to be held in
// memory. See examples/provider for one that streams.
type contentProvider struct{ pool *pgxpool.Pool }

// Export reads the content. Its length proves that it is whole.
func (p *contentProvider) Export(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
	var content string
	err := p.pool.QueryRow(ctx, "SELECT content FROM example.site WHERE user_id = $1 AND id = $2", req.UserID, req.SiteID).Scan(&content)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, backup.Permanent(errors.New("read site: there is none"), "the site was removed before it was backed up")
	}
	if err != nil {
		return nil, fmt.Errorf("read site: %w", err)
	}
	return &backup.Export{Body: io.NopCloser(strings.NewReader(content)), Size: int64(len(content)), ContentType: "text/html"}, nil
}
