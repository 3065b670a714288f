package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sitebackup/sitebackup/httpapi"
	"github.com/sitebackup/sitebackup/httpapi/client"
)

const (
	pollEvery = 200 * time.Millisecond
	// stallPatience is how long nothing at all may happen before the demo takes it
	// for stuck.
	stallPatience = 3 * time.Minute
)

var errStuck = fmt.Errorf("the backup has not moved for %s", stallPatience)

// backUp asks for a backup and watches it to its end, as any client does.
func (d *demo) backUp(ctx context.Context) (*httpapi.Backup, error) {
	api, err := client.NewClient(d.app.URL, client.WithHTTPClient(d.client))
	if err != nil {
		return nil, err
	}
	b, err := client.Read[httpapi.Backup](api.StartBackup(ctx, nil, client.StartRequest{UserID: userID, SiteID: siteID}))
	if err != nil {
		return nil, err
	}
	d.printf("POST %s/backup gave backup %s\n\n", d.app.URL, b.ID)
	p := newProgress(d.Out, d.Terminal, d.Size)
	b, err = d.watch(ctx, api, b.ID, p.show)
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
func (d *demo) watch(ctx context.Context, api *client.Client, id string, show func(*httpapi.Backup)) (*httpapi.Backup, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	stalled := time.NewTimer(stallPatience)
	defer stalled.Stop()
	var last []byte
	for {
		b, err := client.Read[httpapi.Backup](api.GetBackup(ctx, id, nil))
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
