package main

import (
	"context"
	"fmt"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/remote"
	"github.com/sitebackup/sitebackup/httpapi/client"
)

type backupVerifyCmd struct {
	named
	Sample float64 `default:"1" help:"The share of each export that is read: more than 0, and at most 1, which reads everything."`
	NoWait bool    `help:"Don't wait for the result."`
}

// Run asks for a verification and waits for its end.
func (v *backupVerifyCmd) Run(ctx context.Context, sys *system, c *cli) error {
	id, err := v.id()
	if err != nil {
		return err
	}
	api, err := c.Backup.client()
	if err != nil {
		return err
	}
	b, err := client.Read[client.Backup](api.VerifyBackup(ctx, id, client.VerifyRequest{Sample: &v.Sample}))
	if err != nil {
		return err
	}
	var before *client.Verification // what an earlier one found
	if b.Verifying != nil && *b.Verifying {
		before = b.Verification
	}
	if !v.NoWait {
		b, err = remote.Watch(ctx, api, id, func(*client.Backup) {}, func(b *client.Backup) bool { return b.Verifying == nil || !*b.Verifying })
		if err != nil {
			return interrupted(ctx, err, "the verification goes on")
		}
	}
	if err := printBackup(sys, &c.Backup.serverFlags, b); err != nil || v.NoWait {
		return err
	}
	switch found := b.Verification; {
	case found == nil, before != nil && found.FinishedAt.Equal(before.FinishedAt):
		return fmt.Errorf("the verification of backup %s was given up", id)
	case len(found.Problems) > 0:
		return &statusError{statusBad, fmt.Errorf("the stored copy of backup %s is damaged", id)}
	case found.Error != nil:
		return fmt.Errorf("verify backup %s: %s", id, found.Error.Message)
	}
	return nil
}

type backupDownloadCmd struct {
	named
	Dir string `arg:"" help:"The directory, which is created. Each export becomes a file named after its provider."`
}

// Run downloads a backup.
func (d *backupDownloadCmd) Run(ctx context.Context, sys *system, c *cli) error {
	id, err := d.id()
	if err != nil {
		return err
	}
	api, err := c.Backup.client()
	if err != nil {
		return err
	}
	p := newProgress(sys, &c.Backup.serverFlags)
	m, err := remote.Download(ctx, api, id, d.Dir, p.file)
	p.end()
	if err != nil {
		return interrupted(ctx, err, "run the command again to go on with the download")
	}
	if c.Backup.Output == outputJSON {
		return printJSON(sys, map[string]any{"backupId": m.BackupID, "directory": d.Dir, "manifest": m})
	}
	for i := range m.Objects {
		o := &m.Objects[i]
		if _, err := fmt.Fprintf(sys.out, "%s  %s  SHA-256 %s\n", o.Provider, bytesText(o.Size), o.SHA256); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(sys.out, "backup %s is whole in %s\n", m.BackupID, d.Dir)
	return err
}
