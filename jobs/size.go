package jobs

import (
	"context"
	"math"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sitebackup/sitebackup/backup"
)

const (
	sizeTimeout = 30 * time.Second // for one source's answer
	sizersAsked = 8                // at once
)

// size asks the sources that can tell how large their exports are, where that
// matters, and returns a permanent error when they can't fit.
func (p *planWorker) size(ctx context.Context, b *backup.Backup, providers []string) ([]backup.Planned, error) {
	exports := make([]backup.Planned, len(providers))
	var asking errgroup.Group
	asking.SetLimit(sizersAsked)
	for i, name := range providers {
		exports[i] = backup.Planned{Provider: name, Size: -1}
		cfg := p.w.client.Provider(name)
		sizer, ok := cfg.Provider.(backup.Sizer)
		if !ok || (b.MaxSize == 0 && cfg.MaxSize == 0) {
			continue
		}
		asking.Go(func() error {
			return p.w.guarded(ctx, func() error { p.ask(ctx, sizer, b, &exports[i]); return nil })
		})
	}
	if err := asking.Wait(); err != nil {
		return nil, err
	}
	var announced int64
	for _, e := range exports {
		if limit := p.w.client.Provider(e.Provider).MaxSize; limit > 0 && e.Size > limit {
			return nil, backup.TooLarge("export "+e.Provider, limit, e.Size, 0)
		}
		announced = sum(announced, max(e.Size, 0))
	}
	if b.MaxSize > 0 && announced > b.MaxSize {
		return nil, backup.TooLarge("backup", b.MaxSize, announced, 0)
	}
	return exports, nil
}

// ask asks one source. One that fails here shows what is wrong when it is asked
// for the export.
func (p *planWorker) ask(ctx context.Context, sizer backup.Sizer, b *backup.Backup, e *backup.Planned) {
	ctx, cancel := context.WithTimeout(ctx, sizeTimeout)
	defer cancel()
	size, err := sizer.Size(ctx, &backup.ExportRequest{BackupID: b.ID, UserID: b.UserID, SiteID: b.SiteID, Provider: e.Provider})
	if err != nil {
		p.w.cfg.Logger.InfoContext(ctx, "ask for the size of an export", "backup", b.ID, "provider", e.Provider, "error", err)
		return
	}
	e.Size = max(size, -1)
}

// sum is a + b, or the largest number if that is larger.
func sum(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
