// Package remote does what needs more than one request to a server: watching a
// backup to its end, and downloading one. It asks through the generated client.
package remote

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/sitebackup/sitebackup/httpapi/client"
)

const (
	// pollEvery is the pause between two requests, however much happens.
	pollEvery = 250 * time.Millisecond
	// longPoll is how long the server may wait for a change.
	longPoll = "20s"
	// tries is how often in a row a request may fail in a way that may pass.
	tries = 8
	// longestPause bounds the pause between tries, which doubles from a quarter of
	// a second, and what a Retry-After may ask for.
	longestPause = 15 * time.Second
)

// Watch asks for the backup until it is as until wants it, and shows each answer.
// The server answers when something has changed.
func Watch(ctx context.Context, c *client.Client, id string, show func(*client.Backup), until func(*client.Backup) bool) (*client.Backup, error) {
	params := &client.GetBackupParams{}
	for failures := 0; ; {
		b, etag, err := ask(ctx, c, id, params)
		pause := pollEvery
		switch {
		case err != nil:
			failures++
			if !Passing(err) || failures == tries {
				return nil, err
			}
			pause = pauseAfter(err, failures)
		case b != nil:
			failures = 0
			show(b)
			if until(b) {
				return b, nil
			}
			if etag != "" {
				params.IfNoneMatch, params.Wait = &etag, new(longPoll)
			}
		default: // nothing has changed
			failures = 0
		}
		if err := wait(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// ask is nil where the backup is the one that params know.
func ask(ctx context.Context, c *client.Client, id string, params *client.GetBackupParams) (b *client.Backup, etag string, err error) {
	res, err := client.Open(c.GetBackup(ctx, id, params))
	if e := new(client.Error); errors.As(err, &e) && e.Status == http.StatusNotModified {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	b, err = client.Read[client.Backup](res, nil)
	return b, res.Header.Get("Etag"), err
}

// Ended reports whether a backup moves no further by itself.
func Ended(b *client.Backup) bool {
	switch b.Status {
	case client.BackupStatusDone, client.BackupStatusFailed, client.BackupStatusCanceled:
		return true
	default:
		return false
	}
}

// Passing reports whether a request that failed like this may work later: the
// server was out of reach, or too busy.
func Passing(err error) bool {
	var e *client.Error
	if errors.As(err, &e) {
		return e.Status == http.StatusTooManyRequests || e.Status >= http.StatusInternalServerError && e.Code != client.ProblemCodeObjectDamaged && e.Code != client.ProblemCodeNoStore
	}
	return !errors.Is(err, context.Canceled) && !errors.Is(err, errLocal) && !errors.Is(err, ErrDamaged)
}

func pauseAfter(err error, failures int) time.Duration {
	var e *client.Error
	if errors.As(err, &e) {
		if seconds, err := strconv.Atoi(e.Header.Get("Retry-After")); err == nil && seconds >= 0 {
			return min(time.Duration(min(seconds, 3600))*time.Second, longestPause)
		}
	}
	return min(250*time.Millisecond<<(failures-1), longestPause)
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
