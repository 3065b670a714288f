package config

import (
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/migrations"
)

// check finds what is wrong with the file that can be seen without looking
// anywhere else.
func (f *File) check() Problems {
	var ps Problems
	add := func(path, format string, args ...any) { ps = append(ps, f.Problem(path, format, args...)) }
	f.checkDatabase(add)
	f.checkServer(add)
	tokens := f.checkAPI(add)
	f.checkDestination(add)
	f.checkProviders(add)
	f.checkRetention(add)
	f.checkSchedules(add)
	f.checkKeep(add)
	return append(ps, tokens...)
}

type adder func(path, format string, args ...any)

// passwordRE finds a password in both forms that Postgres takes: a URL, and
// words such as host=db password=x.
var passwordRE = regexp.MustCompile(`^[a-z]+://[^/?#]*:[^/?#]*@|(?i)(?:^|[\s?&])(?:ssl)?password\s*=`)

func (f *File) checkDatabase(add adder) {
	if u := f.Database.URL; u.literal() && passwordRE.MatchString(u.value) {
		add("database.url", "%s", errLiteral)
	}
	if err := migrations.ValidateSchema(f.Database.Schema); err != nil {
		_, _, rule := splitRule(err)
		add("database.schema", "%s", rule)
	}
}

func (f *File) checkServer(add adder) {
	if _, _, err := net.SplitHostPort(f.Server.Listen); err != nil {
		add("server.listen", "must be an address such as localhost:3000, not %q", f.Server.Listen)
	}
	if _, _, err := net.SplitHostPort(f.Probes.Listen); f.Probes.Listen != "" && err != nil {
		add("probes.listen", "must be an address such as :9090, not %q", f.Probes.Listen)
	}
	if u, err := url.Parse(f.Server.BaseURL); f.Server.BaseURL != "" && (err != nil || !isWeb(u)) {
		add("server.baseURL", "must be a URL such as https://backup.example.com")
	}
	if levels := []string{"debug", "info", "warn", "error"}; !slices.Contains(levels, f.Log.Level) {
		add("log.level", "must be one of %s, not %q", strings.Join(levels, ", "), f.Log.Level)
	}
	if f.Log.Format != "text" && f.Log.Format != "json" {
		add("log.format", "must be text or json, not %q", f.Log.Format)
	}
}

var keepRE = regexp.MustCompile(`^Keep\.(\w+) (must .*), or Forever$`)

func (f *File) checkKeep(add adder) {
	_, err := backup.New(&backup.Config{Keep: f.Keep.Periods(), Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		return
	}
	if m := keepRE.FindStringSubmatch(err.Error()); m != nil {
		add("keep."+keyOf(m[1]), "%s, or forever", m[2])
		return
	}
	add("keep", "%s", err)
}

func (f *File) checkDestination(add adder) {
	d := &f.Destination
	switch {
	case d.File == nil && d.Azure == nil:
		add("destination", "must have file or azure")
	case d.File != nil && d.Azure != nil:
		add("destination", "must have only one of file and azure")
	}
	if d.File != nil && d.File.Path == "" && !f.bad["destination.file.path"] {
		add("destination.file.path", "is required")
	}
	if d.Azure != nil {
		f.checkAzure(d.Azure, add)
	}
}

func (f *File) checkAzure(a *AzureDestination, add adder) {
	const path = "destination.azure"
	given := func(key string, missing bool) bool { return !missing || f.bad[path+"."+key] }
	var credentials []string
	for _, c := range []struct {
		key    string
		secret Secret
	}{{"connectionString", a.ConnectionString}, {"sasURL", a.SASURL}, {"sharedKey", a.SharedKey}} {
		if given(c.key, c.secret.IsZero()) {
			credentials = append(credentials, c.key)
		}
		if c.secret.literal() {
			add(path+"."+c.key, "%s", errLiteral)
		}
	}
	if len(credentials) > 1 {
		add(path, "must have only one of %s", strings.Join(credentials, ", "))
		return
	}
	credential := strings.Join(credentials, "")
	whole := credential == "connectionString" || credential == "sasURL" // has the account's URL in it
	for _, rule := range []struct {
		key           string
		value         string
		needed, taken bool
	}{
		{"container", a.Container, credential != "sasURL", credential != "sasURL"},
		{"accountURL", a.AccountURL, !whole, !whole},
		{"account", a.Account, credential == "sharedKey", credential == "sharedKey"},
	} {
		there := given(rule.key, rule.value == "")
		switch {
		case rule.needed && !there && credential == "":
			add(path+"."+rule.key, "is required, unless there is a connectionString or a sasURL")
		case rule.needed && !there:
			add(path+"."+rule.key, "is required with %s", credential)
		case there && !rule.taken && credential == "":
			add(path+"."+rule.key, "must be there with sharedKey only")
		case there && !rule.taken:
			add(path+"."+rule.key, "must not be there with %s", credential)
		}
	}
	if u, err := url.Parse(a.AccountURL); a.AccountURL != "" && (err != nil || !isWeb(u) || u.RawQuery != "") {
		add(path+".accountURL", "must be a URL such as https://account.blob.core.windows.net, without a SAS")
	}
}

func isWeb(u *url.URL) bool {
	return u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") && u.User == nil
}
