package migrations

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrPending is wrapped by Validate's error when migrations are missing.
var ErrPending = errors.New("database is not migrated")

// Report is what Status found in one schema.
type Report struct {
	Schema string
	River  Line
	Backup Line
}

// Line is the state of one line of migrations, each list ordered by version.
type Line struct {
	Applied []Version // also those of a newer release, which this one does not know
	Pending []Version
}

// Version is one migration of a line.
type Version struct {
	Version   int
	Name      string    // empty for a migration of River's that this program does not know
	AppliedAt time.Time // zero while it is pending
}

// Status reads what was applied and what is missing, for River's line and for
// ours. It changes nothing, takes no lock, and a database that has never been
// migrated is no error.
func Status(ctx context.Context, pool *pgxpool.Pool, config *Config) (*Report, error) {
	m, err := newMigrator(pool, config)
	if err != nil {
		return nil, err
	}
	return m.status(ctx)
}

// Validate returns nil when every migration that this program knows was applied.
// Otherwise its error, one line, wraps ErrPending, names the missing versions,
// and says what to run. A database that is newer than the program is valid,
// because migrations only expand.
func Validate(ctx context.Context, pool *pgxpool.Pool, config *Config) error {
	report, err := Status(ctx, pool, config)
	if err != nil {
		return err
	}
	return report.pending()
}

func (m *migrator) status(ctx context.Context) (*Report, error) {
	river, err := m.riverLine(ctx)
	if err != nil {
		return nil, err
	}
	own, err := m.ownLine(ctx)
	if err != nil {
		return nil, err
	}
	return &Report{Schema: m.cfg.Schema, River: river, Backup: own}, nil
}

func (m *migrator) ownLine(ctx context.Context) (Line, error) {
	all := make([]Version, len(m.own))
	for i, mig := range m.own {
		all[i] = Version{Version: mig.version, Name: mig.name}
	}
	return m.line(ctx, m.cfg.ledger(), `SELECT version, name, applied_at FROM {{schema}}.backup_migration ORDER BY version`, all)
}

// riverLine reads River's table itself, for River's migrator gives no times and
// stops at a version that it does not know. The column line came with River's
// version 5.
func (m *migrator) riverLine(ctx context.Context) (Line, error) {
	var all []Version
	for _, v := range m.river.AllVersions() {
		all = append(all, Version{Version: v.Version, Name: v.Name})
	}
	return m.line(ctx, m.cfg.riverLedger(), `SELECT version, '' AS name, created_at FROM {{schema}}.river_migration AS m
		WHERE coalesce(to_jsonb(m) ->> 'line', 'main') = 'main' ORDER BY version`, all)
}

// line compares what a table records with all the versions that are known.
func (m *migrator) line(ctx context.Context, table, query string, all []Version) (Line, error) {
	there, err := m.exists(ctx, table)
	if err != nil {
		return Line{}, err
	}
	var applied []Version
	if there {
		rows, _ := m.pool.Query(ctx, m.cfg.in(query)) // its error comes with the rows
		if applied, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Version]); err != nil {
			return Line{}, fmt.Errorf("read migrations of table %s: %w", table, err)
		}
	}
	return compare(applied, all), nil
}

func compare(applied, all []Version) Line {
	at := make(map[int]int, len(applied))
	for i, v := range applied {
		at[v.Version] = i
	}
	line := Line{Applied: applied}
	for _, v := range all {
		if i, ok := at[v.Version]; ok {
			applied[i].Name = v.Name
		} else {
			line.Pending = append(line.Pending, v)
		}
	}
	return line
}

func (r *Report) pending() error {
	var missing []string
	for _, l := range []struct {
		name    string
		pending []Version
	}{{LineRiver, r.River.Pending}, {LineBackup, r.Backup.Pending}} {
		if len(l.pending) > 0 {
			missing = append(missing, l.name+" "+list(l.pending))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf(`%w: schema %q lacks migrations %s: run "backupd migrate up"`, ErrPending, r.Schema, strings.Join(missing, " and "))
}

// known returns an error when Down would meet a migration that it has no SQL of.
func (r *Report) known(m *migrator, riverToo bool) error {
	newest := func(line string, applied []Version, limit int) error {
		if n := len(applied); n > 0 && applied[n-1].Version > limit {
			return fmt.Errorf("schema %q has %s migration %d, which this program does not know: go down with the release that applied it", r.Schema, line, applied[n-1].Version)
		}
		return nil
	}
	if err := newest(LineBackup, r.Backup.Applied, len(m.own)); err != nil || !riverToo {
		return err
	}
	return newest(LineRiver, r.River.Applied, len(m.river.AllVersions()))
}

func list(versions []Version) string {
	numbers := make([]string, len(versions))
	for i, v := range versions {
		numbers[i] = strconv.Itoa(v.Version)
	}
	return strings.Join(numbers, ", ")
}
