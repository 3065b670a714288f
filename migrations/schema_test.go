package migrations_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/migrations"
)

func TestValidateSchema(t *testing.T) {
	t.Parallel()
	for _, good := range []string{migrations.DefaultSchema, "public", "_", "a1_2", strings.Repeat("a", 40)} {
		require.NoError(t, migrations.ValidateSchema(good), good)
	}
	for _, bad := range []string{"", "Backup", "1a", "a-b", "a.b", `a"b`, "a b", "a\n", "é", "pg_a", strings.Repeat("a", 41)} {
		require.ErrorContains(t, migrations.ValidateSchema(bad), "Schema must be 1 to 40 lower-case letters, digits and underscores", bad)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	ctx, bad := t.Context(), in("No")
	_, err := migrations.Up(ctx, nil, bad)
	require.ErrorContains(t, err, "Schema must be")
	_, err = migrations.Down(ctx, nil, bad, nil)
	require.ErrorContains(t, err, "Schema must be")
	_, err = migrations.Status(ctx, nil, bad)
	require.ErrorContains(t, err, "Schema must be")
	require.ErrorContains(t, migrations.Validate(ctx, nil, bad), "Schema must be")
	_, err = migrations.Up(ctx, nil, &migrations.Config{LockTimeout: -1})
	require.EqualError(t, err, "LockTimeout must not be negative: -1ns")
}

func TestMigrationFilesAreChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, want string
	}{
		"gap":       {"0004_d", "version must be 3"},
		"no number": {"late_d", "invalid syntax"},
		"no down":   {"0003_c", "file does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := three()
			delete(files, "sql/0003_c.up.sql")
			delete(files, "sql/0003_c.down.sql")
			files["sql/"+c.file+".up.sql"] = &fstest.MapFile{}
			if c.file != "0003_c" {
				files["sql/"+c.file+".down.sql"] = &fstest.MapFile{}
			}
			_, err := migrations.UpFrom(t.Context(), files, nil, nil)
			require.ErrorContains(t, err, "read migration sql/"+c.file+".up.sql: ")
			require.ErrorContains(t, err, c.want)
		})
	}
}
