package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
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

// The defaults that can be asked for are those of the example.
func TestExampleDefaults(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "all.yaml")
	require.NoError(t, os.WriteFile(path, []byte(allKeys(t)), 0o600))
	f, _ := config.Load(path, anyVariable)
	none, _ := config.Load("", anyVariable)
	require.Equal(t, none.Database, f.Database)
	require.Equal(t, none.Log, f.Log)
	require.Equal(t, none.Server.Listen, f.Server.Listen)

	p := f.Providers[0]
	client, err := backup.New(&backup.Config{Providers: []backup.ProviderConfig{{Name: "site"}}})
	require.NoError(t, err)
	require.Equal(t, &backup.ProviderConfig{
		Name: p.Name, AllowEmpty: p.AllowEmpty, AllowUnproven: p.AllowUnproven, MinSize: int64(p.MinSize), MaxSize: int64(p.MaxSize),
		MaxAttempts: p.MaxAttempts, MaxWorkers: p.MaxWorkers, MaxRunning: p.MaxRunning,
		RetryFor: time.Duration(p.RetryFor), StallTimeout: time.Duration(p.StallTimeout), OpenTimeout: time.Duration(p.OpenTimeout),
	}, client.Provider("site"))
}
