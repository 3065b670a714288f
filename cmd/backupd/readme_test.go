package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/internal/envtest"
)

var fenceRE = regexp.MustCompile("(?ms)^```(sh|yaml|yml)\n(.*?)^```$")

// snippets are the README's, by language. The Go one is examples/embed's.
// What stands as yml is a part of a configuration.
func snippets(t *testing.T) (shell []string, yaml, part string) {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	for _, m := range fenceRE.FindAllStringSubmatch(string(readme), -1) {
		switch m[1] {
		case "yaml":
			yaml = m[2]
			continue
		case "yml":
			part = m[2]
			continue
		}
		shell = append(shell, strings.TrimSuffix(m[2], "\n"))
	}
	require.NotEmpty(t, yaml)
	return shell, yaml, part
}

const backupCommands = `backupd backup start --user 658683afc91423af04d82152 --site 658683afc91423af04d82153 --watch
backupd backup list --status done
backupd backup verify <the id>
backupd backup download <the id> copy
backupd verify --offline --dir copy`

func TestReadmeBackupCommands(t *testing.T) {
	t.Parallel()
	s := setup(t, 1<<20, "")
	url := start(t, s.env(), "serve", "--migrate", "--listen", "localhost:0").ready()
	dir, id := filepath.Join(t.TempDir(), "copy"), ""
	for line := range strings.SplitSeq(backupCommands, "\n") {
		line = strings.NewReplacer("<the id>", id, " copy", " "+dir).Replace(line)
		status, out, err := runs(t, []string{"BACKUPD_SERVER=" + url}, strings.Fields(line)[1:]...)
		require.Zero(t, status, "%s: %s", line, err)
		if id == "" {
			id = strings.Fields(out)[1]
		}
	}
	require.FileExists(t, filepath.Join(dir, "manifest.json"))
}

const scheduleCommands = `backupd schedule put --user 658683afc91423af04d82152 --site 658683afc91423af04d82153 --cron '30 2 * * *' --time-zone Europe/Berlin --spread 30min --max-age 26h --keep-daily 14 --keep-monthly 12
backupd schedule next <the id>
backupd schedule run <the id> --watch
backupd schedule runs <the id>
backupd retention plan --removed`

func TestReadmeScheduleCommands(t *testing.T) {
	t.Parallel()
	s := setup(t, 1000, "")
	url := start(t, s.env(), "serve", "--migrate", "--listen", "localhost:0").ready()
	id := ""
	for line := range strings.SplitSeq(scheduleCommands, "\n") {
		line = strings.Replace(line, "'30 2 * * *'", "30_2_*_*_*", 1)
		args := strings.Fields(strings.Replace(line, "<the id>", id, 1))[1:]
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "_", " ")
		}
		status, out, err := runs(t, []string{"BACKUPD_SERVER=" + url}, args...)
		require.Zero(t, status, "%s: %s", line, err)
		if id == "" {
			id = strings.TrimSuffix(strings.Fields(out)[1], ",")
		}
	}
}

const erasureCommand = `backupd erasure start --user 658683afc91423af04d82152 --yes`

func TestReadmeErasureCommand(t *testing.T) {
	t.Parallel()
	s := setup(t, 1000, "")
	url := start(t, s.env(), "serve", "--migrate", "--listen", "localhost:0").ready()
	awaitBackup(t, url, startBackup(t, url).ID) // it is of that user
	status, out, err := runs(t, []string{"BACKUPD_SERVER=" + url}, strings.Fields(erasureCommand)[1:]...)
	require.Zero(t, status, err)
	require.Regexp(t, `backups +1\n`, out)
}

// Every command of the README is run: here, by another test of this package, or
// by .ci/run, which takes the test command from the README.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	shell, yaml, part := snippets(t)
	require.Equal(t, []string{
		"go run ./cmd/backupd demo", // TestDemoOnce and the others
		startCommand + "\n" + strings.Replace(getCommand, "%s", "<the id it returned>", 1), // TestServe
		"backupd config check --config backupd.yaml\nbackupd migrate up --config backupd.yaml\nbackupd serve --config backupd.yaml",
		backupCommands,             // TestReadmeBackupCommands
		scheduleCommands,           // TestReadmeScheduleCommands
		erasureCommand,             // TestReadmeErasureCommand
		"go run ./cmd/backupbench", // its own tests, and .ci/run with --gate
		"go test ./jobs -run '^$' -bench JobLayer -benchtime 2000x -v", // .ci/run, with 300
		"go test ./...", // this
	}, shell)

	file := filepath.Join(t.TempDir(), "backupd.yaml")
	container := envtest.AzuriteContainer(t).URL()
	yaml = strings.Replace(yaml, "container: backups", "container: "+container[strings.LastIndexByte(container, '/')+1:], 1)
	require.NoError(t, os.WriteFile(file, []byte(yaml+part), 0o600))
	env := []string{"DATABASE_URL=" + envtest.EmptyDatabase(t), "BACKUP_STORAGE=" + envtest.Azurite(t), "SITE_TOKEN=one", "DB_TOKEN=two", "BACKUPD_LISTEN=localhost:0"}
	for line := range strings.SplitSeq(shell[2], "\n") {
		args := strings.Fields(strings.ReplaceAll(line, "backupd.yaml", file))[1:]
		p := start(t, env, args...)
		if args[0] == "serve" {
			p.ready()
			p.signal(syscall.SIGTERM)
		}
		require.Zero(t, p.wait(), line)
	}
}
