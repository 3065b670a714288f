package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/backuptest"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

func TestMain(m *testing.M) { envtest.Main(m) }

func TestRun(t *testing.T) {
	t.Parallel()
	database, dir := envtest.EmptyDatabase(t), t.TempDir()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), database, dir, &out))
	require.Equal(t, `text/csv, 66 bytes, its end proven by framing:
path,body
/,"Dogs, ""of all kinds"""
/poodle,"A poodle
is a dog."
`, out.String())

	pool := open(t, database)
	var done int
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM backup.backup WHERE state = 'done' AND site_id = 'dogs.example'").Scan(&done))
	require.Equal(t, 1, done)
}

func TestRunNeedsADatabase(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, run(t.Context(), "", t.TempDir(), new(bytes.Buffer)), "set DATABASE_URL")
}

func open(t *testing.T, database string) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(database)
	require.NoError(t, err)
	config.MaxConns = 20
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func TestConformance(t *testing.T) {
	t.Parallel()
	pool := open(t, envtest.EmptyDatabase(t))
	require.NoError(t, createPosts(t.Context(), pool))
	_, err := pool.Exec(t.Context(), `
		INSERT INTO example.blog VALUES ('o''cats.example', 'ada'), ('stalls.example', 'ada'), ('cut.example', 'ada');
		INSERT INTO example.post SELECT id, '/' || n, repeat(id || ', ', 20) FROM example.blog, generate_series(1, 1000) n;
		-- More than fits between Postgres and its reader.
		INSERT INTO example.post SELECT 'cut.example', '/large-' || n, repeat('x', 30000) FROM generate_series(1, 1000) n;

		-- A site whose export waits for something.
		ALTER TABLE example.post RENAME TO post_row;
		CREATE VIEW example.post AS
			SELECT blog_id, path, body FROM example.post_row
			UNION ALL SELECT 'stalls.example', '/z', pg_sleep(3600)::text`)
	require.NoError(t, err)

	site := func(id string) backup.ExportRequest { return backup.ExportRequest{UserID: "ada", SiteID: id} }
	other, stalled, cut := site("o'cats.example"), site("stalls.example"), site("cut.example")
	backuptest.Run(t, &breaking{&postProvider{pool}, pool}, &backuptest.Options{
		Request: site("dogs.example"), Other: &other, Stalled: &stalled, Cut: &cut,
		Deterministic: true,
		Refusals: []backuptest.Refusal{
			{Name: "unknown site", Request: site("fish.example"), Class: backup.ClassPermanent},
			{Name: "another user's site", Request: backup.ExportRequest{UserID: "eve", SiteID: "dogs.example"}, Class: backup.ClassPermanent},
			{Name: "SQL", Request: site("' OR true OR '' = '"), Class: backup.ClassPermanent},
		},
		Secrets: []string{pool.Config().ConnConfig.Password},
	})
}

// breaking breaks the connection of cut.example behind the first bytes.
type breaking struct {
	*postProvider
	pool *pgxpool.Pool
}

func (b *breaking) Export(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
	ex, err := b.postProvider.Export(ctx, req)
	if err == nil && req.SiteID == "cut.example" {
		ex.Body = &breakingBody{ReadCloser: ex.Body, ctx: ctx, pool: b.pool}
	}
	return ex, err
}

type breakingBody struct {
	io.ReadCloser
	ctx    context.Context
	pool   *pgxpool.Pool
	broken bool
}

func (b *breakingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil && !b.broken {
		b.broken = true
		var ended bool
		if err := b.pool.QueryRow(b.ctx, `
			SELECT bool_or(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
			WHERE datname = current_database() AND state = 'active' AND query LIKE 'COPY %''cut.example''%'`).Scan(&ended); err != nil || !ended {
			return n, errors.Join(errors.New("no connection to break"), err)
		}
	}
	return n, err
}
