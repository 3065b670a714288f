package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sitebackup/sitebackup/internal/env"
	"github.com/sitebackup/sitebackup/internal/fakeazure"
	"github.com/sitebackup/sitebackup/migrations"
)

// lab is what the runs need, and what they gave.
type lab struct {
	cmd     *runCmd
	dir     string
	err     io.Writer
	results *results

	rcloneStart time.Duration // what rclone takes to do nothing

	cert     string
	servers  map[network]*pair
	postgres *env.Postgres // nil if it was there before
	database string        // "" if no task is to be run
	schema   string
}

// pair is the two servers of a network.
type pair struct {
	source, sink *server
	expected     int64 // bytes that the sink has been sent at least
}

// open starts what the runs need. After an error too, close is to be called.
func (l *lab) open(ctx context.Context) error {
	l.cert = filepath.Join(l.dir, "cert.pem")
	if err := writeCert(l.cert); err != nil {
		return err
	}
	l.servers = make(map[network]*pair)
	for _, n := range l.cmd.Network {
		p := &pair{}
		l.servers[n] = p
		var args []string
		switch n {
		case networkTLS:
			args = []string{"--cert", l.cert}
		case networkSlow, networkFar:
			args = []string{"--delay", l.cmd.Delay.String()}
		case networkPlain:
		}
		var err error
		if p.source, err = startServer(ctx, l.err, append([]string{"source"}, args...)...); err != nil {
			return err
		}
		if l.cmd.Checksum {
			args = append(args, "--checksum")
		}
		if p.sink, err = startServer(ctx, l.err, append([]string{"sink"}, args...)...); err != nil {
			return err
		}
	}
	if slices.Contains(l.cmd.Only, kindRclone) {
		if err := l.startRclone(ctx); err != nil {
			return err
		}
	}
	if !slices.Contains(l.cmd.Only, kindTask) {
		return nil
	}
	return l.openDatabase(ctx)
}

// openDatabase finds or starts Postgres and makes our tables in a schema of their own.
func (l *lab) openDatabase(ctx context.Context) (err error) {
	l.database = l.cmd.Database
	if l.database == "" {
		log := slog.New(slog.NewTextHandler(l.err, nil))
		if l.postgres, err = env.StartPostgres(ctx, &env.PostgresOptions{Log: log}); err != nil {
			return err
		}
		l.database = l.postgres.URL
	}
	l.schema = "backupbench_" + randomName()
	pool, err := pgxpool.New(ctx, l.database)
	if err != nil {
		return errors.New("the database's URL can't be read") // the reason may quote a password
	}
	defer pool.Close()
	quiet := slog.New(slog.DiscardHandler)
	_, err = migrations.Up(ctx, pool, &migrations.Config{Schema: l.schema, Logger: quiet})
	return err
}

// close ends the servers, and compares what the sinks were sent with what they should have been.
func (l *lab) close(ctx context.Context) error {
	var errs []error
	for n, p := range l.servers {
		var stats fakeazure.Stats
		if p.source != nil {
			errs = append(errs, p.source.stop(nil))
		}
		if p.sink != nil {
			errs = append(errs, p.sink.stop(&stats))
		}
		if stats.Bytes < p.expected {
			errs = append(errs, fmt.Errorf("%s: the store was sent %d bytes, not %d: what was measured isn't true", n, stats.Bytes, p.expected))
		}
	}
	if l.schema != "" {
		errs = append(errs, l.closeDatabase(ctx))
	}
	return errors.Join(errs...)
}

func (l *lab) closeDatabase(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if l.postgres != nil {
		return l.postgres.Stop(ctx)
	}
	conn, err := pgx.Connect(ctx, l.database)
	if err != nil {
		return fmt.Errorf("drop schema %s: %w", l.schema, err)
	}
	_, err = conn.Exec(ctx, "DROP SCHEMA "+pgx.Identifier{l.schema}.Sanitize()+" CASCADE")
	return errors.Join(err, conn.Close(ctx))
}

// run runs one case once.
func (l *lab) run(ctx context.Context, it item, round int) error {
	source, sink := "none", "none"
	p := l.servers[it.network]
	if p != nil {
		source, sink = p.source.url+"/"+strconv.FormatInt(int64(it.size), 10), p.sink.url
	}
	name := randomName()
	var s sample
	var err error
	if it.kind == kindRclone {
		s, err = l.rclone(ctx, source, sink, name)
	} else {
		s, err = l.worker(ctx, it, source, sink, name, l.cmd.profilePath(it, round))
	}
	if err != nil {
		return err
	}
	if p != nil && it.kind.sends() {
		p.expected += int64(it.size)
	}
	fmt.Fprintf(l.err, "run %d: %s %s %s: %.2f s, CPU %.2f s; process %.2f s, CPU %.2f s, %d MiB\n", round+1, it.size, it.network, it.kind,
		s.Wall.Seconds(), s.CPU.Seconds(), s.processWall.Seconds(), s.processCPU.Seconds(), s.Peak>>20)
	return l.results.add(it, s)
}

// worker runs this program as a worker.
func (l *lab) worker(ctx context.Context, it item, source, sink, name, profile string) (sample, error) {
	args := []string{
		"worker", "--kind", string(it.kind), "--source", source, "--sink", sink, "--dir", l.dir, "--name", name,
		"--size", it.size.argument(), "--part", l.cmd.part(it.network).argument(), "--concurrency", strconv.Itoa(l.cmd.concurrency(it.network)),
	}
	if it.network == networkTLS {
		args = append(args, "--cert", l.cert)
	}
	if profile != "" {
		args = append(args, "--profile", profile)
	}
	var env []string
	if it.kind == kindTask {
		args = append(args, "--schema", l.schema)
		env = []string{"BACKUPBENCH_DATABASE=" + l.database}
	}
	path, err := os.Executable()
	if err != nil {
		return sample{}, err
	}
	var out outcome
	s, err := measure(ctx, l.err, append([]string{path}, args...), env, &out)
	if err != nil {
		return sample{}, err
	}
	s.Wall, s.CPU, s.SHA256 = out.Wall, out.CPU, out.SHA256
	if out.Peak > 0 {
		s.Peak = out.Peak
	}
	return s, nil
}

func randomName() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// withoutRclone is the environment without what would configure rclone.
func withoutRclone() []string {
	return slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "RCLONE_") })
}
