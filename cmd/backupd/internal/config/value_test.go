package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
)

// Whoever has learned how a schedule's durations are written writes all of them so.
func TestDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "30min": 30 * time.Minute, "26h": 26 * time.Hour, "7d": 7 * 24 * time.Hour, "2w": 14 * 24 * time.Hour, "1w2d": 9 * 24 * time.Hour,
		"5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute, "100ms": 100 * time.Millisecond,
	} {
		var d config.Duration
		require.NoError(t, d.UnmarshalText([]byte(text)))
		require.Equal(t, want, time.Duration(d), text)
	}
	for _, text := range []string{"", "0", "0s", "-5s", "30", "1h7d", "soon"} {
		require.ErrorContains(t, new(config.Duration).UnmarshalText([]byte(text)), "must be a duration such as 90s, 30min, 26h or 7d", text)
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	load := func(text string) (*config.File, config.Problems) {
		path := filepath.Join(t.TempDir(), "c.yaml")
		require.NoError(t, os.WriteFile(path, []byte(good+text), 0o600))
		return config.Load(path, environment(nil))
	}
	f, problems := load("keep: {details: 14d, runs: forever, receipts: 8760h}\n")
	require.Empty(t, problems)
	require.Equal(t, backup.Keep{Details: 14 * 24 * time.Hour, Runs: backup.Forever, Receipts: 365 * 24 * time.Hour}, f.Keep.Periods())
	var out strings.Builder
	require.NoError(t, f.Print(&out))
	require.Contains(t, out.String(), "runs: forever\n")

	_, problems = load("keep:\n  details: 1d\n")
	require.Len(t, problems, 1)
	require.Regexp(t, `:4: keep.details: must be at least 168h0m0s, or forever$`, problems.Error())
	_, problems = load("keep: {alerts: always}\n")
	require.Regexp(t, `:3: keep.alerts: must be forever or a duration such as 90d, not "always"$`, problems.Error())
}
