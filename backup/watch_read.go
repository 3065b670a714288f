package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// page is a part of a backup's events.
type page struct {
	events []Event
	head   int64 // the last event that there was when they were read
	gone   bool  // the backup isn't there
}

const (
	pageEvents = 64  // of a page
	pageFeeds  = 128 // that one query reads
)

// pages reads a page for each of the backups, behind the event in after.
func (c *Client) pages(ctx context.Context, ids []string, after []int64, got func(page)) error {
	if c.cfg.Pool == nil {
		return errNoPool
	}
	rows, err := c.cfg.Pool.Query(ctx, c.sql(`
		SELECT i.id::text, b.event_seq, e.seq, e.name, e.provider, e.data, e.created_at
		FROM unnest(@ids::uuid[], @after::bigint[]) WITH ORDINALITY AS i (id, after, n)
		LEFT JOIN {{schema}}.backup b ON b.id = i.id
		LEFT JOIN LATERAL (SELECT * FROM {{schema}}.backup_event e
			WHERE e.backup_id = b.id AND e.seq > i.after ORDER BY e.seq LIMIT @limit) e ON true
		ORDER BY i.n, e.seq`),
		named{"ids": ids, "after": after, "limit": pageEvents})
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	next := 0 // of ids
	var now page
	finish := func() {
		if next > 0 {
			got(now)
		}
		next++
		now = page{}
	}
	var id string
	var row eventRow
	_, err = pgx.ForEachRow(rows, []any{&id, &row.head, &row.seq, &row.name, &row.provider, &row.data, &row.at}, func() error {
		if next == 0 || ids[next-1] != id {
			finish()
		}
		now.gone = row.head == nil
		if row.head != nil {
			now.head = *row.head
		}
		if row.seq != nil {
			now.events = append(now.events, row.event(id))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	finish()
	return nil
}

// eventRow is an event that may not be there.
type eventRow struct {
	head, seq      *int64
	name, provider *string
	data           json.RawMessage
	at             *time.Time
}

func (r *eventRow) event(id string) Event {
	return Event{BackupID: id, Seq: *r.seq, Name: EventName(deref(r.name)), Provider: deref(r.provider), Data: r.data, CreatedAt: *r.at}
}

// readDirty reads what is new for the feeds that are dirty.
func (w *Watcher) readDirty(ctx context.Context) error {
	for {
		feeds, ids, after := w.dirty()
		if len(feeds) == 0 {
			return nil
		}
		i := 0
		err := w.c.pages(ctx, ids, after, func(p page) {
			w.deliver(feeds[i], p)
			i++
		})
		if err != nil {
			return err
		}
	}
}

// dirty takes some of the feeds that are to be read.
func (w *Watcher) dirty() (feeds []*feed, ids []string, after []int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.feeds {
		if f.dirty && f.known {
			f.dirty = false
			feeds, ids, after = append(feeds, f), append(ids, f.id), append(after, f.head)
		}
		if len(feeds) == pageFeeds {
			break
		}
	}
	return feeds, ids, after
}

func (w *Watcher) deliver(f *feed, p page) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.gone {
		if !f.gone {
			f.gone = true
			f.tell()
		}
		return
	}
	f.add(p.events, w.maxUnread)
	if len(p.events) == pageEvents {
		f.dirty = true // there may be more
	}
}
