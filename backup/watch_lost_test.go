package backup_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

// A notification that comes while the connection is made anew is lost; the events
// aren't, since the Watcher looks at everything once it listens again.
func TestWatchListensAgain(t *testing.T) {
	b := setup(t)
	w, _ := b.watch(b.otherClient(), neverPoll)
	id := b.start().ID
	s := b.subscribe(w, id, 1)
	b.ensureLive(s)
	seq := int64(1)
	for range 3 {
		eventually(t, func() bool { return b.listeners() == 1 })
		b.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = $1", b.listenStatement())
		eventually(t, func() bool { return b.listeners() == 0 })
		b.insertEvents(id, 3)
		b.notify(id)
		require.Equal(t, numbers(seq+1, seq+3), b.until(s, seq+3))
		seq += 3
	}
	eventually(t, func() bool { return b.listeners() == 1 })
	b.insertEvents(id, 1)
	b.notify(id)
	require.Equal(t, numbers(seq+1, seq+1), b.until(s, seq+1))
}

// Behind a pooler that hands connections on nothing is ever delivered.
func TestWatchPollsWhereNotificationsAreLost(t *testing.T) {
	b := setup(t)
	dropped := make(chan struct{}, 100)
	client, err := backup.New(&backup.Config{Pool: withoutNotifications(b, dropped), Schema: b.schema, Logger: b.client.Logger()})
	require.NoError(t, err)
	deaf, _ := b.watch(client, neverPoll)
	w, _ := b.watch(client, &backup.WatcherConfig{PollInterval: 200 * time.Millisecond})
	id := b.start().ID
	s, never := b.subscribe(w, id, 1), b.subscribe(deaf, id, 1)
	b.ensureLive(s)
	b.ensureLive(never)
	eventually(t, func() bool { return b.listeners() == 2 })
	write := func(n int64) {
		b.insertEvents(id, 200)
		b.notify(id)
		require.Equal(t, numbers(2+200*n, 201+200*n), b.until(s, 201+200*n))
	}
	rounds := int64(0)
	for told := true; told; rounds++ { // it may see one: it looks at everything once it listens
		require.Less(t, rounds, int64(5), "it is told, or looks by itself")
		write(rounds)
		for told = false; b.gets(never); {
			told = true
		}
	}
	for n := range int64(5) {
		write(rounds + n)
	}
	for range 2 {
		<-dropped // they were sent
	}
	b.ensureLive(never)
}

// A quiet connection is asked whether it lives, and goes on listening.
func TestWatchAsksQuietConnections(t *testing.T) {
	b := setup(t)
	w, err := b.client.NewWatcher(neverPoll)
	require.NoError(t, err)
	w.SetSilence(10 * time.Millisecond)
	b.run(w)
	id := b.start().ID
	s := b.subscribe(w, id, 1)
	b.ensureLive(s)
	b.ensureLive(s)
	eventually(t, func() bool {
		return b.count("SELECT count(*)::int FROM pg_stat_activity WHERE query = '-- ping'") > 0
	})
	b.insertEvents(id, 1)
	b.notify(id)
	require.Equal(t, numbers(2, 2), b.until(s, 2))
}

func withoutNotifications(b *bundle, dropped chan struct{}) *pgxpool.Pool {
	b.Helper()
	cfg := b.pool.Config()
	cfg.ConnConfig.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		return pgproto3.NewFrontend(&deaf{from: r, dropped: dropped}, w)
	}
	pool, err := pgxpool.NewWithConfig(b.ctx, cfg)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	return pool
}

// deaf drops the notifications out of what a server sends: a byte of type, a
// length that counts itself, and the rest.
type deaf struct {
	from    io.Reader
	dropped chan struct{}
	raw     []byte
	ready   bytes.Buffer
}

func (d *deaf) Read(p []byte) (int, error) {
	for d.ready.Len() == 0 {
		chunk := make([]byte, 4096)
		n, err := d.from.Read(chunk)
		d.raw = append(d.raw, chunk[:n]...)
		if err != nil {
			return 0, err
		}
		for len(d.raw) >= 5 {
			size := 1 + int(binary.BigEndian.Uint32(d.raw[1:]))
			if len(d.raw) < size {
				break
			}
			if d.raw[0] == 'A' {
				select {
				case d.dropped <- struct{}{}:
				default:
				}
			} else {
				d.ready.Write(d.raw[:size])
			}
			d.raw = d.raw[size:]
		}
	}
	return d.ready.Read(p)
}
