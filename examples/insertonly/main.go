// Command insertonly shows a program that only asks for backups, in a
// transaction of its own, and leaves them to workers in another process. It needs
// no pool, no store and no providers, and links neither the workers nor any
// cloud's SDK.
//
//	DATABASE_URL=postgres://localhost/mydb go run ./examples/insertonly
//
// It makes a table example.orders, and in one transaction writes an order and
// asks for the backup that goes with it. Asked again, for the same order, it
// finds that backup.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/migrations"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Getenv("DATABASE_URL"), os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "insertonly:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, databaseURL string, out io.Writer) error {
	if databaseURL == "" {
		return errors.New("set DATABASE_URL to a Postgres database, such as postgres://localhost/mydb")
	}
	if err := createTables(ctx, databaseURL); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))

	backups, err := backup.New(&backup.Config{})
	if err != nil {
		return err
	}
	var b *backup.Backup
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		b, err = order(ctx, tx, backups, 4711)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "backup", b.ID, "is", b.State)
	return nil
}

// order writes an order and asks for its backup, as a part of tx.
func order(ctx context.Context, tx pgx.Tx, backups *backup.Client, number int) (*backup.Backup, error) {
	if _, err := tx.Exec(ctx, "INSERT INTO example.orders (number) VALUES ($1) ON CONFLICT DO NOTHING", number); err != nil {
		return nil, fmt.Errorf("insert order: %w", err)
	}
	return backups.StartTx(ctx, tx, backup.StartParams{
		UserID: "ada", SiteID: "birds.example",
		IdempotencyKey: fmt.Sprintf("order-%d", number),
	})
}

// createTables stands in for a deployment: it isn't the business of a program
// that only asks.
func createTables(ctx context.Context, databaseURL string) error {
	pool, err := pgxpool.New(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	defer pool.Close()
	if _, err := migrations.Up(ctx, pool, nil); err != nil {
		return err
	}
	if _, err := pool.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS example; CREATE TABLE IF NOT EXISTS example.orders (number integer PRIMARY KEY)"); err != nil {
		return fmt.Errorf("create orders: %w", err)
	}
	return nil
}
