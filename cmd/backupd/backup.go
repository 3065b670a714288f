package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
	"github.com/sitebackup/sitebackup/cmd/backupd/internal/remote"
	"github.com/sitebackup/sitebackup/httpapi/client"
)

type backupCmd struct {
	serverFlags

	Start    backupStartCmd    `cmd:"" help:"Start a backup."`
	List     backupListCmd     `cmd:"" help:"List backups, the newest first."`
	Show     backupShowCmd     `cmd:"" help:"Show the state of a backup."`
	Watch    backupWatchCmd    `cmd:"" help:"Watch a backup until it ends. The exit status is 3 if it doesn't end as done."`
	Cancel   backupCancelCmd   `cmd:"" help:"Cancel a backup."`
	Retry    backupRetryCmd    `cmd:"" help:"Run a failed or canceled backup again."`
	Verify   backupVerifyCmd   `cmd:"" help:"Have the stored copy compared with its manifest. The exit status is 3 if it is damaged."`
	Download backupDownloadCmd `cmd:"" help:"Copy a finished backup into a directory, check each SHA-256, and write the manifest last. Run it again to resume a download that was interrupted."`
	Hold     backupHoldCmd     `cmd:"" help:"Put a legal hold on a backup: until it is released, nothing deletes it. This takes the scope admin, and so does release."`
	Release  backupReleaseCmd  `cmd:"" help:"End the legal hold on a backup."`
	Rm       backupRmCmd       `cmd:"" name:"rm" help:"Delete a backup."`
}

type backupStartCmd struct {
	User              string            `required:"" placeholder:"ID" help:"The user."`
	Site              string            `required:"" placeholder:"ID" help:"The user's site."`
	Providers         []string          `name:"provider" placeholder:"NAME" help:"An export to make; may be given more than once. Defaults to all."`
	Labels            map[string]string `name:"label" mapsep:"none" placeholder:"KEY=VALUE" help:"A label; may be given more than once."`
	ContinueOnFailure bool              `help:"Keep the other exports running when one fails for good."`
	SizeLimit         config.Size       `placeholder:"SIZE" help:"The most that all exports together may amount to, such as 10GiB."`
	IfActive          string            `enum:"start,join,reject" default:"start" help:"What to do if the site has a backup that hasn't ended: start another one, join it, or reject the request."`
	Key               string            `placeholder:"KEY" help:"An idempotency key: the same command with the same key starts one backup."`
	Watch             bool              `short:"w" help:"Watch it until it ends."`
}

// Run starts a backup.
func (s *backupStartCmd) Run(ctx context.Context, sys *system, c *cli) error {
	api, err := c.Backup.client()
	if err != nil {
		return err
	}
	ifActive := client.StartRequestIfActive(s.IfActive)
	request := client.StartRequest{UserID: s.User, SiteID: s.Site, Providers: s.Providers, Labels: s.Labels, ContinueOnFailure: &s.ContinueOnFailure, IfActive: &ifActive}
	if limit := int64(s.SizeLimit); limit != 0 {
		request.SizeLimit = &limit
	}
	params := &client.StartBackupParams{}
	if s.Key != "" {
		params.IdempotencyKey = &s.Key
	}
	b, err := client.Read[client.Backup](api.StartBackup(ctx, params, request))
	if err != nil {
		return err
	}
	if s.Watch {
		return watch(ctx, sys, &c.Backup.serverFlags, api, b.ID.String())
	}
	return printBackup(sys, &c.Backup.serverFlags, b)
}

type backupListCmd struct {
	User     string    `placeholder:"ID" help:"Only this user's."`
	Site     string    `placeholder:"ID" help:"Only this site's."`
	Schedule string    `placeholder:"ID" help:"Only those that this schedule started."`
	Status   []string  `enum:"pending,running,done,failed,canceled,deleting" help:"Only those with this status; may be given more than once."`
	Since    time.Time `placeholder:"TIME" help:"Only those created at or after this time, such as 2026-01-02T03:04:05Z."`
	Until    time.Time `placeholder:"TIME" help:"Only those created before this time."`
	Limit    int       `default:"50" help:"How many at most; 0 for all."`
}

// Run lists backups, page by page.
func (l *backupListCmd) Run(ctx context.Context, sys *system, c *cli) error {
	api, err := c.Backup.client()
	if err != nil {
		return err
	}
	params := l.params()
	all, err := pages(l.Limit, func(limit int, cursor *string) ([]client.BackupSummary, *string, error) {
		params.Limit, params.Cursor = &limit, cursor
		list, err := client.Read[client.BackupList](api.ListBackups(ctx, params))
		if err != nil {
			return nil, nil, err
		}
		return list.Backups, list.NextCursor, nil
	})
	if err != nil {
		return err
	}
	return printList(sys, &c.Backup.serverFlags, all)
}

func (l *backupListCmd) params() *client.ListBackupsParams {
	p := &client.ListBackupsParams{UserID: orNil(l.User), SiteID: orNil(l.Site), ScheduleID: orNil(l.Schedule)}
	for _, s := range l.Status {
		p.Status = append(p.Status, client.ListBackupsParamsStatus(s))
	}
	if !l.Since.IsZero() {
		p.Since = &l.Since
	}
	if !l.Until.IsZero() {
		p.Until = &l.Until
	}
	return p
}

// named is a command about one backup.
type named struct {
	ID string `arg:"" help:"The backup's id."`
}

func (n *named) id() (string, error) { return checkID("backup", n.ID) }

// one sends a request about a backup, and prints what comes back.
func (n *named) one(ctx context.Context, sys *system, c *cli, send func(*client.Client) request) error {
	id, err := n.id()
	if err != nil {
		return err
	}
	api, err := c.Backup.client()
	if err != nil {
		return err
	}
	b, err := client.Read[client.Backup](send(api)(ctx, id))
	if err != nil {
		return err
	}
	return printBackup(sys, &c.Backup.serverFlags, b)
}

type (
	request = func(context.Context, string, ...client.RequestEditorFn) (*http.Response, error)

	backupShowCmd   struct{ named }
	backupCancelCmd struct{ named }
	backupRetryCmd  struct{ named }
	backupRmCmd     struct{ named }
	backupWatchCmd  struct{ named }

	backupReleaseCmd struct{ named }
	backupHoldCmd    struct {
		named
		Reason string `placeholder:"TEXT" help:"Why it is held, for people."`
	}
)

// Run shows a backup.
func (s *backupShowCmd) Run(ctx context.Context, sys *system, c *cli) error {
	return s.one(ctx, sys, c, func(api *client.Client) request {
		return func(ctx context.Context, id string, edit ...client.RequestEditorFn) (*http.Response, error) {
			return api.GetBackup(ctx, id, nil, edit...)
		}
	})
}

// Run cancels a backup.
func (s *backupCancelCmd) Run(ctx context.Context, sys *system, c *cli) error {
	return s.one(ctx, sys, c, func(api *client.Client) request { return api.CancelBackup })
}

// Run retries a backup.
func (s *backupRetryCmd) Run(ctx context.Context, sys *system, c *cli) error {
	return s.one(ctx, sys, c, func(api *client.Client) request { return api.RetryBackup })
}

// Run holds a backup.
func (h *backupHoldCmd) Run(ctx context.Context, sys *system, c *cli) error {
	return h.one(ctx, sys, c, func(api *client.Client) request {
		return func(ctx context.Context, id string, edit ...client.RequestEditorFn) (*http.Response, error) {
			return api.HoldBackup(ctx, id, client.HoldRequest{Reason: orNil(h.Reason)}, edit...)
		}
	})
}

// Run releases a backup.
func (r *backupReleaseCmd) Run(ctx context.Context, sys *system, c *cli) error {
	return r.one(ctx, sys, c, func(api *client.Client) request { return api.ReleaseBackup })
}

// Run deletes a backup.
func (s *backupRmCmd) Run(ctx context.Context, sys *system, c *cli) error {
	return s.one(ctx, sys, c, func(api *client.Client) request { return api.DeleteBackup })
}

// Run watches a backup.
func (s *backupWatchCmd) Run(ctx context.Context, sys *system, c *cli) error {
	id, err := s.id()
	if err != nil {
		return err
	}
	api, err := c.Backup.client()
	if err != nil {
		return err
	}
	return watch(ctx, sys, &c.Backup.serverFlags, api, id)
}

func watch(ctx context.Context, sys *system, c *serverFlags, api *client.Client, id string) error {
	p := newProgress(sys, c)
	b, err := remote.Watch(ctx, api, id, p.backup, remote.Ended)
	p.end()
	if err != nil {
		return interrupted(ctx, err, "the backup goes on")
	}
	if err := printBackup(sys, c, b); err != nil {
		return err
	}
	if b.Status != client.BackupStatusDone {
		return &statusError{statusBad, fmt.Errorf("backup %s is %s", id, b.Status)}
	}
	return nil
}
