package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sitebackup/sitebackup/httpapi"
)

const (
	pollEvery = 200 * time.Millisecond
	// stallPatience is how long nothing at all may happen before the demo takes it
	// for stuck.
	stallPatience = 3 * time.Minute
	maxAnswer     = 1 << 20
)

var errStuck = fmt.Errorf("the backup has not moved for %s", stallPatience)

// backUp asks for a backup and watches it to its end, as any client does.
func (d *demo) backUp(ctx context.Context) (*httpapi.Backup, error) {
	b, err := d.call(ctx, http.MethodPost, "/backup", map[string]string{"userId": userID, "siteId": siteID})
	if err != nil {
		return nil, err
	}
	d.printf("POST %s/backup gave backup %s\n\n", d.app.URL, b.ID)
	p := newProgress(d.Out, d.Terminal, d.Size)
	b, err = d.watch(ctx, b.ID, p.show)
	p.end()
	if err != nil {
		return nil, err
	}
	if b.Status != "done" {
		return nil, failure(b)
	}
	d.printf("\nDone in %s.\n", b.FinishedAt.Sub(b.CreatedAt).Round(10*time.Millisecond))
	return b, nil
}

// watch polls the backup until it has ended.
func (d *demo) watch(ctx context.Context, id string, show func(*httpapi.Backup)) (*httpapi.Backup, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	stalled := time.NewTimer(stallPatience)
	defer stalled.Stop()
	var last []byte
	for {
		b, err := d.call(ctx, http.MethodGet, "/backup/"+id, nil)
		if err != nil {
			return nil, err
		}
		show(b)
		if b.FinishedAt != nil {
			return b, nil
		}
		if seen, _ := json.Marshal(b); !bytes.Equal(seen, last) { //nolint:errchkjson // it came from JSON
			last = seen
			stalled.Reset(stallPatience)
		}
		select {
		case <-tick.C:
		case <-stalled.C:
			return nil, errStuck
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func failure(b *httpapi.Backup) error {
	errs := []error{fmt.Errorf("backup %s is %s", b.ID, b.Status)}
	add := func(who string, f *httpapi.Failure) {
		if f != nil {
			errs = append(errs, fmt.Errorf("%s: %s. %s", who, f.Message, f.Hint))
		}
	}
	add("backup", b.Error)
	for i := range b.Tasks {
		add(b.Tasks[i].Provider, b.Tasks[i].Error)
	}
	return errors.Join(errs...)
}

// call makes a request to the API.
func (d *demo) call(ctx context.Context, method, path string, body any) (*httpapi.Backup, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, d.app.URL+path, bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }() // it was read
	answer := json.NewDecoder(io.LimitReader(res.Body, maxAnswer))
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusAccepted {
		var p httpapi.Problem
		_ = answer.Decode(&p) // the status says enough if it isn't one
		return nil, fmt.Errorf("%s %s: the API answered %s: %s", method, path, res.Status, p.Detail)
	}
	var b httpapi.Backup
	if err := answer.Decode(&b); err != nil {
		return nil, fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	return &b, nil
}
