package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sitebackup/sitebackup/backup/httpexport"
	"github.com/sitebackup/sitebackup/backup/retention"
	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
	"github.com/sitebackup/sitebackup/httpapi"
	"github.com/sitebackup/sitebackup/jobs"
)

const example = "../../../../examples/backupd.yaml"

// commentedRE finds the keys that are left out: a "#" with no space behind it, and
// within a list or mapping that is left out as a whole with the spaces of its depth.
var commentedRE = regexp.MustCompile(`(?m)^( *)#((?:  )*(?:- )?(?:# .*|[A-Za-z0-9-]+:(?: .*)?))$`)

// allKeys is the example with nothing left out.
func allKeys(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(example)
	require.NoError(t, err)
	return commentedRE.ReplaceAllString(string(data), "$1$2")
}

func anyVariable(name string) (string, bool) {
	switch name {
	case "DATABASE_URL":
		return "postgres://u:p@h/d", true
	case "BACKUP_SAS_URL":
		return "https://account.blob.core.windows.net/backups?sig=x", true
	}
	return "x", true
}

func TestExample(t *testing.T) {
	t.Parallel()
	f, problems := config.Load(example, anyVariable)
	require.Empty(t, problems)
	require.Equal(t, "/var/backups/sites", f.Destination.File.Path)

	path := filepath.Join(t.TempDir(), "all.yaml")
	require.NoError(t, os.WriteFile(path, []byte(allKeys(t)), 0o600))
	_, problems = config.Load(path, anyVariable)
	for _, p := range problems { // it has all that one must choose from
		require.Regexp(t, `^must have (only|exactly) one of `, p.Text, "%s", p)
	}
	require.NotEmpty(t, problems)
}

// No key is missing.
func TestExampleIsWhole(t *testing.T) {
	t.Parallel()
	var root yaml.Node
	require.NoError(t, yaml.Unmarshal([]byte(allKeys(t)), &root))
	requireKeys(t, root.Content[0], reflect.TypeFor[config.File](), "")
}

// requireKeys looks for each key of a struct in a mapping, whose values may be lists.
func requireKeys(t *testing.T, node *yaml.Node, of reflect.Type, path string) {
	t.Helper()
	if of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice && of.Elem().Kind() == reflect.Struct {
		if of.Kind() == reflect.Slice {
			node = node.Content[0]
		}
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || of == reflect.TypeFor[config.Secret]() || path == ".schedules.retention" { // the keys of retention
		return
	}
	values := make(map[string]*yaml.Node)
	for i := 0; i+1 < len(node.Content); i += 2 {
		values[node.Content[i].Value] = node.Content[i+1]
	}
	for i := range of.NumField() {
		key, _, _ := strings.Cut(of.Field(i).Tag.Get("yaml"), ",")
		if key == "" {
			continue
		}
		require.Contains(t, values, key, "%s.%s is not in the example", path, key)
		requireKeys(t, values[key], of.Field(i).Type, path+"."+key)
	}
}

// The defaults of the example are those that hold for a file that leaves them out.
func TestExampleDefaults(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "all.yaml")
	require.NoError(t, os.WriteFile(path, []byte(allKeys(t)), 0o600))
	f, _ := config.Load(path, anyVariable)
	none, _ := config.Load("", anyVariable)
	require.Equal(t, none.Database, f.Database)
	require.Equal(t, none.Log, f.Log)
	require.Equal(t, none.Server.Listen, f.Server.Listen)

	none.Providers = []config.Provider{{Name: f.Providers[0].Name, Type: "http", URL: f.Providers[0].URL, Pages: &config.Pages{}}}
	require.Equal(t, effective(t, none), effective(t, f))

	require.Equal(t, retention.DefaultKeepFailed, *f.Retention.KeepFailed)
	s, set := f.Schedules[0], map[string]string{}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[httpapi.ScheduleRequest]()) {
		if value := field.Tag.Get("default"); value != "" {
			set[field.Name] = value
		}
	}
	require.Equal(t, map[string]string{"Name": s.Name, "TimeZone": s.TimeZone, "CatchUp": s.CatchUp, "Overlap": s.Overlap}, set)
	require.Zero(t, s.Spread)
	require.Zero(t, s.StartingDeadline)
}

// effective are the settings with which a process would work, by their names.
func effective(t *testing.T, f *config.File) map[string]any {
	t.Helper()
	found := make(map[string]any)
	add := func(of string, v reflect.Value) {
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			switch field := v.Field(i); {
			case field.CanInt():
				found[of+"."+name] = field.Int()
			case field.Kind() == reflect.Bool:
				found[of+"."+name] = field.Bool()
			}
		}
	}
	pool, err := pgxpool.New(t.Context(), "postgres://localhost/unused")
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	a := &App{file: f, opts: Options{Workers: true, Log: slog.New(slog.DiscardHandler)}, pool: pool, Store: unusedStore{}}
	require.NoError(t, a.makeClient(t.Context()))
	workers, err := jobs.New(a.Client, jobsConfig(&f.Workers, nil, a.opts.Log))
	require.NoError(t, err)
	add("jobs", reflect.ValueOf(workers).Elem().FieldByName("cfg"))
	client := reflect.ValueOf(a.Client).Elem().FieldByName("cfg")
	add("backup", client)
	add("keep", client.FieldByName("Keep"))
	add("provider", reflect.ValueOf(a.Client.Provider("site")).Elem())
	source, ok := a.Client.Provider("site").Provider.(*httpexport.Provider)
	require.True(t, ok)
	export := reflect.ValueOf(source).Elem().FieldByName("config").Elem()
	add("export", export)
	add("pages", export.FieldByName("Pages").Elem())
	return found
}
