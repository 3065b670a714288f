package migrations_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// catalogQuery describes everything in a schema, a line for each thing.
const catalogQuery = `
WITH s AS (SELECT oid FROM pg_namespace WHERE nspname = $1)
SELECT format('relation %s %s persistence=%s options=%s comment=%s', c.relkind, c.relname, c.relpersistence, c.reloptions, obj_description(c.oid, 'pg_class'))
  FROM pg_class c JOIN s ON s.oid = c.relnamespace
UNION ALL
SELECT format('column %s.%s %s type=%s notnull=%s default=%s comment=%s', c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum))
  FROM pg_class c JOIN s ON s.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'r'
UNION ALL
SELECT format('constraint %s.%s %s', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid)) FROM pg_constraint k JOIN s ON s.oid = k.connamespace
UNION ALL
SELECT 'index ' || i.indexdef FROM pg_indexes i WHERE i.schemaname = $1
UNION ALL
SELECT 'function ' || pg_get_functiondef(p.oid) FROM pg_proc p JOIN s ON s.oid = p.pronamespace
UNION ALL
SELECT 'trigger ' || pg_get_triggerdef(g.oid) FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN s ON s.oid = c.relnamespace WHERE NOT g.tgisinternal
UNION ALL
SELECT format('enum %s %s', y.typname, string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder)) FROM pg_enum e JOIN pg_type y ON y.oid = e.enumtypid JOIN s ON s.oid = y.typnamespace GROUP BY y.typname
ORDER BY 1`

func catalog(t *testing.T, pool *pgxpool.Pool, schema string) []string {
	t.Helper()
	return texts(t, pool, catalogQuery, schema)
}

// ownTables are the tables of the schema backup that are not River's.
func ownTables(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	return texts(t, pool, `SELECT tablename::text FROM pg_tables WHERE schemaname = 'backup' AND tablename NOT LIKE 'river%' ORDER BY 1`)
}

// records are the rows of both ledgers.
func records(t *testing.T, pool *pgxpool.Pool, schema string) []string {
	t.Helper()
	s := pgx.Identifier{schema}.Sanitize()
	return texts(t, pool, fmt.Sprintf(`SELECT format('%%s %%s', line, version) FROM %s.river_migration
		UNION ALL SELECT format('%%s %%s', version, name) FROM %s.backup_migration ORDER BY 1`, s, s))
}

func texts(t *testing.T, pool *pgxpool.Pool, query string, args ...any) []string {
	t.Helper()
	rows, _ := pool.Query(t.Context(), query, args...)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return lines
}
