package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
)

// declareSchedules puts the schedules of the file, and deletes those that a file had
// before and this one hasn't: of several processes, the one that started last says. A file
// without the key says nothing.
func (a *App) declareSchedules(ctx context.Context) error {
	if a.file.Schedules == nil {
		return nil
	}
	return whileAway(ctx, time.Duration(a.file.Database.Wait), func() error {
		done, err := a.Client.DeclareSchedules(ctx, a.file.Declared())
		var field *backup.FieldError
		switch {
		case errors.As(err, &field):
			return config.Problems{a.file.Problem(field.Field, "%s", field.Rule)}
		case err != nil:
			return fmt.Errorf("put the schedules of the configuration: %w", err)
		case done != backup.Declared{}:
			a.opts.Log.InfoContext(ctx, "schedules of the configuration", slog.Int("put", done.Put), slog.Int("deleted", done.Deleted))
		}
		return nil
	})
}
