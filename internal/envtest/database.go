package envtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// poolSize leaves room for many tests at once below the server's 300 connections: pools open
	// connections only as they are needed.
	poolSize = 20
	// adminPatience bounds what is done before and after a test, also when it left locks behind.
	adminPatience = 30 * time.Second
)

// Database returns the URL of the Postgres that all tests of this test binary share, started when the
// first one asks. The user may do everything. Keep to a schema of your own in it.
func Database(t testing.TB) string {
	t.Helper()
	return services.postgres.get(t)
}

// Schema returns a pool on the shared database, and the name of a schema that does not exist yet and
// that no other test has: lower-case letters and digits, fit for use without quotes. When the test
// ends the pool is closed and the schema dropped with all that is in it.
func Schema(t testing.TB) (pool *pgxpool.Pool, schema string) {
	t.Helper()
	database := Database(t)
	schema = randomName("test")
	t.Cleanup(func() { admin(t, database, "DROP SCHEMA IF EXISTS "+schema+" CASCADE") })
	return openPool(t, database), schema
}

// Pool returns a pool of at most 20 connections on the shared database, closed when the test ends.
func Pool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return openPool(t, Database(t))
}

// EmptyDatabase returns the URL of a new database on the shared server, dropped when the test ends,
// whoever is still connected to it.
func EmptyDatabase(t testing.TB) string {
	t.Helper()
	server := Database(t)
	name := randomName("testdb")
	admin(t, server, "CREATE DATABASE "+name+" TEMPLATE template0")
	t.Cleanup(func() { admin(t, server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("parse database URL: it is not one") // the reason would quote its password
	}
	u.Path = "/" + name
	return u.String()
}

// randomName returns an identifier of at most 40 characters that nobody else has.
func randomName(prefix string) string {
	return prefix + strings.ToLower(rand.Text())
}

func openPool(t testing.TB, database string) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(database)
	if err != nil {
		t.Fatalf("parse database URL: %v", err)
	}
	config.MaxConns = poolSize
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatalf("open pool: %v", err)
	}
	t.Cleanup(func() { closePool(t, pool) })
	return pool
}

// closePool closes the pool, and fails the test instead of hanging when it kept a connection.
func closePool(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		pool.Close()
	}()
	timer := time.NewTimer(adminPatience)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
		t.Errorf("close pool: the test still holds %d connections", pool.Stat().AcquiredConns())
	}
}

// admin runs one statement on a connection of its own.
func admin(t testing.TB, database, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), adminPatience)
	defer cancel()
	if err := runAdmin(ctx, database, statement); err != nil {
		t.Errorf("%s: %v", statement, err)
	}
}

func runAdmin(ctx context.Context, database, statement string) error {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, statement)
	return err
}
