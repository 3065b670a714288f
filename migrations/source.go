package migrations

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

//go:embed sql/*.sql
var files embed.FS

// placeholder stands for the quoted schema in our files.
const placeholder = "{{schema}}"

// migration is one pair of our files, with the placeholder still in it.
type migration struct {
	version  int
	name     string
	up, down string
}

// load reads the folder sql: files NNNN_name.up.sql and NNNN_name.down.sql,
// numbered from 0001 without a gap. It returns them in order.
func load(fsys fs.FS) ([]migration, error) {
	ups, err := fs.Glob(fsys, "sql/*.up.sql")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	all := make([]migration, 0, len(ups))
	for i, up := range ups {
		m, err := loadPair(fsys, up)
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", up, err)
		}
		if m.version != i+1 {
			return nil, fmt.Errorf("read migration %s: version must be %d", up, i+1)
		}
		all = append(all, m)
	}
	return all, nil
}

func loadPair(fsys fs.FS, up string) (migration, error) {
	base := strings.TrimSuffix(path.Base(up), ".up.sql")
	number, name, _ := strings.Cut(base, "_")
	version, err := strconv.Atoi(number)
	if err != nil {
		return migration{}, err
	}
	upSQL, err := fs.ReadFile(fsys, up)
	if err != nil {
		return migration{}, err
	}
	downSQL, err := fs.ReadFile(fsys, path.Dir(up)+"/"+base+".down.sql")
	if err != nil {
		return migration{}, err
	}
	return migration{version: version, name: name, up: string(upSQL), down: string(downSQL)}, nil
}

// in returns sql with the schema filled in.
func (c *Config) in(sql string) string { return strings.ReplaceAll(sql, placeholder, c.quoted()) }

// createLedger makes the table that records our migrations.
const createLedger = `CREATE TABLE {{schema}}.backup_migration (
    version    integer     PRIMARY KEY CHECK (version > 0),
    name       text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE {{schema}}.backup_migration IS 'The migrations of backup''s own tables that were applied. River''s are in river_migration.';
`

const dropLedger = "DROP TABLE {{schema}}.backup_migration;\n"
