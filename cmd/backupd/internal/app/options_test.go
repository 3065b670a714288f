package app

import (
	"log/slog"
	"reflect"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
)

// Whatever workers can be told, a configuration can tell them.
func TestEverySettingOfWorkersIsConfigurable(t *testing.T) {
	t.Parallel()
	var w config.Workers
	file := reflect.ValueOf(&w).Elem()
	for i := range file.NumField() {
		switch f := file.Field(i); f.Kind() {
		case reflect.String:
			f.SetString("x")
		default:
			f.SetInt(int64(i) + 1)
		}
	}
	cfg := reflect.ValueOf(jobsConfig(&w, new(pgxpool.Pool), slog.Default())).Elem()
	for i := range cfg.NumField() {
		require.False(t, cfg.Field(i).IsZero(), cfg.Type().Field(i).Name)
	}
}
