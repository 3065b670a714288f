package migrations

import (
	"fmt"
	"io"
	"strings"

	"github.com/riverqueue/river/rivermigrate"
)

// Direction is which way a dump migrates.
type Direction string

// The directions of Dump.
const (
	DirectionUp   Direction = "up"
	DirectionDown Direction = "down"
)

// riverTemplate is where River's SQL wants the schema and a dot.
const riverTemplate = "/* TEMPLATE: schema */"

// riverLineAdded is the version of River from which on river_migration has the
// column line. River's migrator records by the same rule.
const riverLineAdded = 5

const dumpHeader = `-- sitebackup: all migrations %[1]s, of River and of its own tables, for the schema
-- %[2]s. %[3]s
--
--     psql -v ON_ERROR_STOP=1 -f this-file "$DATABASE_URL"
--
-- Each version is a transaction of its own and records itself in it, so that
-- "backupd migrate status" knows. A tool that makes one transaction of a whole
-- file has to be told not to, or to be given each version as a file of its own
-- without BEGIN and COMMIT: River's version 6 uses a value of an enum that its
-- version 4 adds.
`

// Dump writes the SQL of all migrations, River's included, for people who run
// migrations with a tool of their own. It needs no database.
//
// Up is for a database where none of them was applied; afterwards Validate,
// Status and Up find what Up would have left. Somebody who has River in that
// schema already leaves out River's versions that they have; each begins with a
// comment. Down is its exact reverse but for the schema, which stays; it drops
// River's tables with every job in them.
func Dump(w io.Writer, config *Config, to Direction) error {
	m, err := newMigrator(nil, config)
	if err != nil {
		return err
	}
	var sql string
	switch to {
	case DirectionUp:
		sql = m.dumpUp()
	case DirectionDown:
		sql = m.dumpDown()
	default:
		return fmt.Errorf("direction must be %q or %q: %q", DirectionUp, DirectionDown, to)
	}
	if _, err := io.WriteString(w, sql); err != nil {
		return fmt.Errorf("write sql: %w", err)
	}
	return nil
}

func (m *migrator) dumpUp() string {
	var b strings.Builder
	fmt.Fprintf(&b, dumpHeader, DirectionUp, m.cfg.Schema, "For a database where none of them was applied.")
	b.WriteString(m.cfg.in("\nCREATE SCHEMA IF NOT EXISTS {{schema}};\n"))
	for _, v := range m.river.AllVersions() {
		section(&b, LineRiver, v.Version, v.Name, m.riverSQL(v.SQLUp), m.cfg.in(riverInsert(v)))
	}
	for i, mig := range m.own {
		record := fmt.Sprintf("INSERT INTO {{schema}}.backup_migration (version, name) VALUES (%d, '%s');\n", mig.version, mig.name)
		if i == 0 {
			record = createLedger + record
		}
		section(&b, LineBackup, mig.version, mig.name, m.cfg.in(record), m.cfg.in(mig.up))
	}
	return b.String()
}

func (m *migrator) dumpDown() string {
	var b strings.Builder
	fmt.Fprintf(&b, dumpHeader, DirectionDown, m.cfg.Schema, "It destroys every backup's record and every job of River\n-- in that schema, also other programs'; the schema itself stays.")
	for i := len(m.own) - 1; i >= 0; i-- {
		mig := m.own[i]
		record := fmt.Sprintf("DELETE FROM {{schema}}.backup_migration WHERE version = %d;\n", mig.version)
		if i == 0 {
			record = dropLedger
		}
		section(&b, LineBackup, mig.version, mig.name, m.cfg.in(mig.down), m.cfg.in(record))
	}
	river := m.river.AllVersions()
	for i := len(river) - 1; i >= 0; i-- {
		v := river[i]
		section(&b, LineRiver, v.Version, v.Name, m.riverSQL(v.SQLDown), m.cfg.in(riverDelete(v)))
	}
	return b.String()
}

// section writes one version as a transaction.
func section(b *strings.Builder, line string, version int, name string, sqls ...string) {
	fmt.Fprintf(b, "\n-- %s, version %d: %s\n\nBEGIN;\n", line, version, name)
	for _, sql := range sqls {
		if sql = strings.TrimSpace(sql); sql != "" {
			b.WriteString(sql + "\n")
		}
	}
	b.WriteString("COMMIT;\n")
}

func (m *migrator) riverSQL(sql string) string {
	return strings.ReplaceAll(sql, riverTemplate, m.cfg.quoted()+".")
}

func riverInsert(v rivermigrate.Migration) string {
	if v.Version < riverLineAdded {
		return fmt.Sprintf("INSERT INTO {{schema}}.river_migration (version) VALUES (%d);", v.Version)
	}
	return fmt.Sprintf("INSERT INTO {{schema}}.river_migration (line, version) VALUES ('main', %d);", v.Version)
}

// riverDelete runs after the version's own SQL: with version 1 the table itself
// is gone, and with version 5 its column line.
func riverDelete(v rivermigrate.Migration) string {
	switch {
	case v.Version == 1:
		return ""
	case v.Version <= riverLineAdded:
		return fmt.Sprintf("DELETE FROM {{schema}}.river_migration WHERE version = %d;", v.Version)
	}
	return fmt.Sprintf("DELETE FROM {{schema}}.river_migration WHERE line = 'main' AND version = %d;", v.Version)
}
