// Command provider shows a provider of one's own: it exports the rows of a
// table as CSV, streamed from Postgres, whatever their size.
//
//	DATABASE_URL=postgres://localhost/mydb go run ./examples/provider
//
// It makes a table example.post with a blog's posts, backs them up to ./backups,
// prints what was stored, and ends. The test of this program has the provider
// pass the conformance suite, backup/backuptest, as any provider should.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
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

// postProvider exports a blog's posts as CSV. Each export holds a connection of
// the pool while it runs, so give it a pool of its own.
//
// A table gives its rows in the same order and form only as long as nobody
// changes them, and nothing would tell us: so an export can't be resumed, has no
// validator, and starts over.
type postProvider struct{ pool *pgxpool.Pool }

// Export begins to copy the posts.
func (p *postProvider) Export(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
	ctx, cancel := context.WithCancel(ctx)
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		cancel()
		return nil, backup.Retryable(fmt.Errorf("connect to source: %w", err), "look at the source's database")
	}
	query, err := copyQuery(ctx, conn, req)
	if err != nil {
		conn.Release()
		cancel()
		return nil, err
	}
	r, w := io.Pipe()
	b := &body{PipeReader: r, cancel: cancel, copied: make(chan struct{})}
	go b.copy(ctx, conn, w, query)
	return &backup.Export{
		Body: b, Size: -1, ContentType: "text/csv",
		// Body ends only when Postgres has said that the copy is complete.
		End: func() (backup.End, error) { return backup.End{Framed: true}, nil },
	}, nil
}

// copyQuery lets Postgres write the statement, since COPY takes no parameters.
func copyQuery(ctx context.Context, conn *pgxpool.Conn, req *backup.ExportRequest) (query string, err error) {
	err = conn.QueryRow(ctx, `
		SELECT format('COPY (SELECT path, body FROM example.post WHERE blog_id = %L ORDER BY path) TO STDOUT (FORMAT csv, HEADER)', id)
		FROM example.blog WHERE user_id = $1 AND id = $2`, req.UserID, req.SiteID).Scan(&query)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", backup.Permanent(errors.New("find blog: there is none"), "check the ids of user and site")
	}
	if err != nil {
		return "", backup.Retryable(fmt.Errorf("find blog: %w", err), "look at the source's database")
	}
	return query, nil
}

// body is the reading end of a pipe that a goroutine of its own writes to.
type body struct {
	*io.PipeReader
	cancel context.CancelFunc
	copied chan struct{} // closed when the goroutine has ended
}

// copy writes the rows to w. Its reader gets io.EOF only if all went well.
func (b *body) copy(ctx context.Context, conn *pgxpool.Conn, w *io.PipeWriter, query string) {
	defer close(b.copied)
	defer conn.Release()
	_, err := conn.Conn().PgConn().CopyTo(ctx, w, query)
	if err != nil {
		err = backup.Retryable(fmt.Errorf("copy posts: %w", err), "look at the source's database")
	}
	_ = w.CloseWithError(err) // it never fails
}

// Close ends the copy, wherever it is, and waits until it has ended.
func (b *body) Close() error {
	b.cancel()
	err := b.PipeReader.Close()
	<-b.copied
	return err
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Getenv("DATABASE_URL"), "backups", os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "provider:", err)
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
	source, err := pgxpool.New(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("open source: %w", err)
	}
	defer source.Close()
	if _, err := migrations.Up(ctx, pool, nil); err != nil {
		return err
	}
	if err := createPosts(ctx, source); err != nil {
		return err
	}
	store, err := fileblob.New(dir, &fileblob.Options{Create: true})
	if err != nil {
		return err
	}
	backups, err := backup.New(&backup.Config{
		Pool: pool, Store: store,
		Providers: []backup.ProviderConfig{{Name: "posts", Provider: &postProvider{source}}},
	})
	if err != nil {
		return err
	}
	return backUp(ctx, backups, out)
}

// createPosts makes the host's own tables.
func createPosts(ctx context.Context, source *pgxpool.Pool) error {
	_, err := source.Exec(ctx, `
		CREATE SCHEMA IF NOT EXISTS example;
		CREATE TABLE IF NOT EXISTS example.blog (id text PRIMARY KEY, user_id text NOT NULL);
		CREATE TABLE IF NOT EXISTS example.post (blog_id text NOT NULL, path text NOT NULL, body text NOT NULL, PRIMARY KEY (blog_id, path));
		INSERT INTO example.blog VALUES ('dogs.example', 'ada') ON CONFLICT DO NOTHING;
		INSERT INTO example.post VALUES ('dogs.example', '/', 'Dogs, "of all kinds"'), ('dogs.example', '/poodle', E'A poodle\nis a dog.') ON CONFLICT DO NOTHING`)
	if err != nil {
		return fmt.Errorf("create posts: %w", err)
	}
	return nil
}

// backUp makes one backup and prints what it holds. A real program runs the
// workers all the time.
func backUp(ctx context.Context, backups *backup.Client, out io.Writer) error {
	workers, err := jobs.New(backups, nil)
	if err != nil {
		return err
	}
	config := &river.Config{}
	if err := workers.Configure(config); err != nil {
		return err
	}
	client, err := river.NewClient(riverpgxv5.New(backups.Pool()), config)
	if err != nil {
		return err
	}
	if err := client.Start(ctx); err != nil {
		return err
	}
	b, err := backups.Start(ctx, backup.StartParams{UserID: "ada", SiteID: "dogs.example"})
	if err == nil {
		err = show(ctx, backups, b.ID, out)
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return errors.Join(err, client.Stop(stopping))
}

// show waits until the backup has ended, and prints its object.
func show(ctx context.Context, backups *backup.Client, id string, out io.Writer) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := backups.Get(ctx, id)
		switch {
		case err != nil:
			return err
		case b.State == backup.StateDone:
			return printObject(ctx, backups, b.Tasks[0], out)
		case b.State.Terminal():
			return fmt.Errorf("backup is %s: %+v", b.State, b.Failure)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func printObject(ctx context.Context, backups *backup.Client, t *backup.Task, out io.Writer) error {
	fmt.Fprintf(out, "%s, %d bytes, its end proven by %s:\n", t.ContentType, t.Size, t.Proof)
	object, err := backups.Store().Open(ctx, t.ObjectKey, 0, -1)
	if err != nil {
		return fmt.Errorf("open object: %w", err)
	}
	defer object.Close()
	if _, err := io.Copy(out, object); err != nil {
		return fmt.Errorf("read object: %w", err)
	}
	return nil
}
