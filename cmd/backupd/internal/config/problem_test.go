package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
)

// good is the smallest configuration with nothing wrong.
const good = `destination: {file: {path: /backups}}
providers: [{name: site, url: "https://s.example.com/{userId}/{siteId}"}]
`

const (
	goodDestination = "destination: {file: {path: /b}}\n"
	goodProviders   = "providers: [{name: site, url: \"https://s.example.com/{siteId}\"}]\n"
)

var hash = strings.Repeat("0a", 32)

func TestProblems(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ yaml, want string }{
		"nothing wrong": {good, ""},
		"empty":         {"", "c.yaml: destination: must have file or azure\nc.yaml: providers: must have at least one"},
		"not YAML":      {"a: [1", "c.yaml:1: is not valid YAML: did not find expected ',' or ']'"},
		"a list":        {"- a", "c.yaml: destination: must have file or azure\nc.yaml: providers: must have at least one\nc.yaml:1: must be a mapping of keys to values"},
		"two documents": {good + "---\na: 1\n", "c.yaml: must be a single YAML document"},
		"unknown keys": {
			good + "workers:\n  partsize: 8MiB\nextra: 1\n",
			"c.yaml:4: workers.partsize: unknown key\nc.yaml:5: extra: unknown key",
		},
		"a key twice": {good + "log: {level: info}\nlog: {level: warn}\n", "c.yaml:4: log: is there twice"},
		"sizes, durations, numbers": {
			good + "workers:\n  partSize: 8 apples\n  concurrency: many\n  leaseDuration: 30\n  heartbeat: -5s\n  bufferBudget: [1]\n",
			"c.yaml:4: workers.partSize: must be a size such as 8MiB or 10GiB, not \"8 apples\"\n" +
				"c.yaml:5: workers.concurrency: must be a whole number, not \"many\"\n" +
				"c.yaml:6: workers.leaseDuration: must be a duration such as 90s, 30min, 26h or 7d, not \"30\"\n" +
				"c.yaml:7: workers.heartbeat: must be a duration such as 90s, 30min, 26h or 7d, not \"-5s\"\n" +
				"c.yaml:8: workers.bufferBudget: must be a single value",
		},
		"server and log": {
			good + "server:\n  listen: '3000'\n  insecureListen: maybe\n  baseURL: backup.example.com\nlog:\n  level: loud\n  format: xml\n",
			"c.yaml:4: server.listen: must be an address such as localhost:3000, not \"3000\"\n" +
				"c.yaml:5: server.insecureListen: must be true or false, not \"maybe\"\n" +
				"c.yaml:6: server.baseURL: must be a URL such as https://backup.example.com\n" +
				"c.yaml:8: log.level: must be one of debug, info, warn, error, not \"loud\"\n" +
				"c.yaml:9: log.format: must be text or json, not \"xml\"",
		},
		"tokens": {
			good + "api:\n  tokens:\n  - sha256: '" + hash + "'\n    scopes: read\n  - {name: a, sha256: hunter2, scopes: [read]}\n" +
				"  - {name: a, sha256: '" + hash + "', scopes: [read, all]}\n  - name: b\n    sha256: ${env:UNSET}\n    sites: ['']\n  - c\n" +
				"  - {name: c, sha256: '" + hash + "', scopes: [], users: [], extra: x}\n  rateLimit:\n    perSecond: -1\n    burst: many\n",
			"c.yaml:5: api.tokens[0].name: must be 1 to 64 letters, digits and ._-, beginning with a letter or digit, not \"\"\n" +
				"c.yaml:7: api.tokens[1].sha256: must be the 64 hexadecimal digits that \"backupd token new\" prints\n" +
				"c.yaml:8: api.tokens[2].scopes[1]: must be read, write or admin, not \"all\"\n" +
				"c.yaml:8: api.tokens[2].name: is there twice\n" +
				"c.yaml:8: api.tokens[2].sha256: is there twice\n" +
				"c.yaml:9: api.tokens[3].scopes: must have at least one of read, write and admin\n" +
				"c.yaml:10: api.tokens[3].sha256: the environment variable UNSET is not set\n" +
				"c.yaml:11: api.tokens[3].sites: must be patterns of 1 to 255 bytes of UTF-8 without control characters\n" +
				"c.yaml:12: api.tokens[4]: must be a mapping of keys to values\n" +
				"c.yaml:13: api.tokens[5].extra: unknown key\n" +
				"c.yaml:13: api.tokens[5].sha256: is there twice\n" +
				"c.yaml:13: api.tokens[5].users: must have a pattern: leave it out, or say \"*\", for all\n" +
				"c.yaml:13: api.tokens[5].scopes: must have at least one of read, write and admin\n" +
				"c.yaml:15: api.rateLimit.perSecond: must not be negative\n" +
				"c.yaml:16: api.rateLimit.burst: must be a whole number, not \"many\"",
		},
		"database": {
			good + "database:\n  url: postgres://u:hunter2@h/d\n  schema: Backup\n",
			"c.yaml:4: database.url: must be a reference to an environment variable such as ${env:NAME}: a secret has no place in the file\n" +
				"c.yaml:5: database.schema: must be 1 to 40 lower-case letters, digits and underscores, not beginning with a digit or with pg_: \"Backup\"",
		},
		"database words":               {good + "database: {url: host=h password=hunter2}\n", "c.yaml:3: database.url: must be a reference to an environment variable such as ${env:NAME}: a secret has no place in the file"},
		"database without a password":  {good + "database: {url: 'postgres://u@h:5432/d?sslmode=require'}\n", ""},
		"database query with password": {good + "database: {url: 'postgres://u@h/d?password=hunter2'}\n", "c.yaml:3: database.url: must be a reference to an environment variable such as ${env:NAME}: a secret has no place in the file"},
		"references": {
			goodDestination + "providers:\n- name: site\n  url: https://${env:HOST}/{siteId}\n  auth:\n    bearer: ${env:UNSET}\n- name: db\n  url: ${env:EMPTY}\n",
			"c.yaml:4: providers[0].url: a reference such as ${env:NAME} must be the whole value\n" +
				"c.yaml:6: providers[0].auth.bearer: the environment variable UNSET is not set\n" +
				"c.yaml:8: providers[1].url: the environment variable EMPTY is not set",
		},
		"no destination":          {"destination:\n  prefix: x\n" + goodProviders, "c.yaml:1: destination: must have file or azure"},
		"two destinations":        {"destination:\n  file: {path: /b}\n  azure: {container: c, accountURL: 'https://a'}\n" + goodProviders, "c.yaml:1: destination: must have only one of file and azure"},
		"file without a path":     {"destination:\n  file: {create: true}\n" + goodProviders, "c.yaml:2: destination.file.path: is required"},
		"azure with a literal":    {"destination:\n  azure:\n    container: c\n    connectionString: AccountKey=hunter2\n" + goodProviders, "c.yaml:4: destination.azure.connectionString: must be a reference to an environment variable such as ${env:NAME}: a secret has no place in the file"},
		"azure with nothing":      {"destination:\n  azure: {}\n" + goodProviders, "c.yaml:2: destination.azure.container: is required, unless there is a connectionString or a sasURL\nc.yaml:2: destination.azure.accountURL: is required, unless there is a connectionString or a sasURL"},
		"azure with two":          {"destination:\n  azure: {container: c, connectionString: '${env:SET}', sasURL: '${env:SET}'}\n" + goodProviders, "c.yaml:2: destination.azure: must have only one of connectionString, sasURL"},
		"azure key without":       {"destination:\n  azure: {container: c, sharedKey: '${env:SET}', accountURL: 'https://a'}\n" + goodProviders, "c.yaml:2: destination.azure.account: is required with sharedKey"},
		"azure string with URL":   {"destination:\n  azure: {container: c, connectionString: '${env:SET}', accountURL: 'https://a'}\n" + goodProviders, "c.yaml:2: destination.azure.accountURL: must not be there with connectionString"},
		"azure URL with a SAS":    {"destination:\n  azure: {container: c, accountURL: 'https://a/?sig=hunter2'}\n" + goodProviders, "c.yaml:2: destination.azure.accountURL: must be a URL such as https://account.blob.core.windows.net, without a SAS"},
		"azure identity":          {"destination:\n  azure: {container: c, accountURL: 'https://a.blob.core.windows.net'}\n" + goodProviders, ""},
		"azure connection string": {"destination:\n  azure: {container: c, connectionString: '${env:SET}', create: true}\n" + goodProviders, ""},
		"azure SAS":               {"destination:\n  azure: {sasURL: '${env:SET}'}\n" + goodProviders, ""},
		"azure unset key":         {"destination:\n  azure: {container: c, connectionString: '${env:UNSET}'}\n" + goodProviders, "c.yaml:2: destination.azure.connectionString: the environment variable UNSET is not set"},
		"providers not a list":    {goodDestination + "providers: {name: site}\n", "c.yaml:2: providers: must be a list"},
		"provider with nothing":   {goodDestination + "providers:\n- type: ftp\n", "c.yaml:3: providers[0].name: is required\nc.yaml:3: providers[0].url: is required\nc.yaml:3: providers[0].type: must be http, not \"ftp\""},
		"provider twice":          {goodDestination + "providers:\n- {name: a, url: u}\n- {name: a, url: u}\n", "c.yaml:4: providers[1].name: is there twice: \"a\""},
		"auth with two":           {goodDestination + "providers:\n- name: a\n  url: u\n  auth: {bearer: '${env:SET}', basic: {user: u, password: '${env:SET}'}}\n", "c.yaml:5: providers[0].auth: must have exactly one of bearer, basic and header"},
		"auth with nothing":       {goodDestination + "providers:\n- name: a\n  url: u\n  auth: {}\n", "c.yaml:5: providers[0].auth: must have exactly one of bearer, basic and header"},
		"auth literals": {
			goodDestination + "providers:\n- name: a\n  url: u\n  auth: {bearer: hunter2}\n- name: b\n  url: u\n  auth:\n    basic: {user: u, password: hunter2}\n- name: c\n  url: u\n  auth:\n    header: {value: hunter2}\n",
			"c.yaml:5: providers[0].auth.bearer: must be a reference to an environment variable such as ${env:NAME}: a secret has no place in the file\n" +
				"c.yaml:9: providers[1].auth.basic.password: must be a reference to an environment variable such as ${env:NAME}: a secret has no place in the file\n" +
				"c.yaml:13: providers[2].auth.header.name: is required\n" +
				"c.yaml:13: providers[2].auth.header.value: must be a reference to an environment variable such as ${env:NAME}: a secret has no place in the file",
		},
		"secret in a header":     {goodDestination + "providers:\n- name: a\n  url: u\n  headers:\n    authorization: Bearer hunter2\n", "c.yaml:6: providers[0].headers.authorization: must be in auth, where a reference to the environment is asked for"},
		"retention with nothing": {good + "retention: {keepFailed: 1d}\n", "c.yaml:3: retention: must keep something: set keepLast, keepWithin, keepHourly, keepDaily, keepWeekly, keepMonthly, keepYearly or atLeast"},
		"retention unread": {good + "retention: {keepWithin: 6m}\nschedules:\n- {userId: u, siteId: s, cron: '@daily', retention: {keepLast: x}}\n",
			"c.yaml:3: retention.keepWithin: duration \"6m\": m could be minutes or months: write min, or a number of days such as 90d\n" +
				"c.yaml:5: schedules[0].retention.keepLast: must be a whole number, not \"x\""},
		"retention": {good + "retention:\n  keepDaily: -1\n  keepWithin: 6m\n",
			"c.yaml:4: retention.keepDaily: must be between 0 and 100000\n" +
				"c.yaml:5: retention.keepWithin: duration \"6m\": m could be minutes or months: write min, or a number of days such as 90d"},
		"schedules": {
			good + "schedules:\n- {userId: u, siteId: s, cron: '0 25 * * *'}\n- {userId: u, siteId: s, cron: '@daily', spread: 5m, providers: [site, nothing]}\n" +
				"- userId: u\n  siteId: t\n  cron: '@daily'\n  retention: {keepLast: -1}\n- {siteId: s, cron: '@daily'}\n- x\n" +
				"- {userId: u, siteId: v, cron: '@daily', timeZone: Mars/Base, every: 1h}\n- {userId: u, siteId: v, cron: '@daily', overlap: wait}\n",
			"c.yaml:4: schedules[0].cron: hour: \"25\" must be made of * and numbers from 0 to 23\n" +
				"c.yaml:5: schedules[1].spread: duration \"5m\": m could be minutes or months: write min, or a number of days such as 90d\n" +
				"c.yaml:5: schedules[1].providers[1]: must name one of the file's providers, not \"nothing\"\n" +
				"c.yaml:5: schedules[1].name: is there twice for this user's site: \"default\"\n" +
				"c.yaml:9: schedules[2].retention.keepLast: must be between 0 and 100000\n" +
				"c.yaml:10: schedules[3].userId: must not be empty\n" +
				"c.yaml:11: schedules[4]: must be a mapping of keys to values\n" +
				"c.yaml:12: schedules[5].every: unknown key\n" +
				"c.yaml:12: schedules[5].timeZone: \"Mars/Base\" is not a known time zone: it must be an IANA name such as \"Europe/Berlin\" or \"UTC\"\n" +
				"c.yaml:13: schedules[6].overlap: must be skip, queue or allow\n" +
				"c.yaml:13: schedules[6].name: is there twice for this user's site: \"default\"",
		},
		"anchors": {goodDestination + "providers:\n- {name: a, url: u, retryFor: &r 1h}\n- {name: b, url: u, retryFor: *r}\n", ""},
	}
	env := environment(map[string]string{"EMPTY": "", "SET": "x"})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "c.yaml")
			require.NoError(t, os.WriteFile(path, []byte(test.yaml), 0o600))
			_, problems := config.Load(path, env)
			require.Equal(t, test.want, strings.ReplaceAll(problems.Error(), dir+"/", ""))
			require.NotContains(t, problems.Error(), "hunter2")
		})
	}
}

func TestProblemOfAFlag(t *testing.T) {
	t.Parallel()
	_, problems := config.Load("", environment(nil), config.Override{Path: "log.level", Flag: "--log-level", Value: "loud"},
		config.Override{Path: "database.wait", Flag: "--database-wait", Value: "soon"})
	require.EqualError(t, problems.Of("log", "database"),
		"--database-wait: must be a duration such as 90s, 30min, 26h or 7d, not \"soon\"\n--log-level: must be one of debug, info, warn, error, not \"loud\"")
}

func TestWithoutUnset(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.yaml")
	require.NoError(t, os.WriteFile(path, []byte("destination: {file: {path: '${env:UNSET}'}}\n"+goodProviders+"database: {url: '${env:UNSET}'}\n"), 0o600))
	_, problems := config.Load(path, environment(nil))
	require.Len(t, problems, 2)
	require.Len(t, problems.WithoutUnset("destination", "providers"), 1)
}

// FuzzLoad looks for a file that brings the reader down.
func FuzzLoad(f *testing.F) {
	full, err := os.ReadFile("testdata/full.yaml")
	require.NoError(f, err)
	f.Add(string(full))
	f.Add(good)
	f.Add("a: &a [*a]")
	f.Add("destination: &x {file: *x}")
	f.Add("providers: &x [*x]")
	f.Add("<<: {a: b}")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "c.yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		file, _ := config.Load(path, fullEnvironment)
		_ = file.Print(new(strings.Builder))
	})
}
