package main

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
)

const defaultConfig = "backupd.yaml"

// logFlags and the like stand in for keys of the file. A value that is given
// wins over the environment, and that over the file.
type logFlags struct {
	LogLevel  string `env:"BACKUPD_LOG_LEVEL" placeholder:"LEVEL" help:"debug, info, warn or error (log.level)."`
	LogFormat string `env:"BACKUPD_LOG_FORMAT" placeholder:"FORMAT" help:"text or json (log.format)."`
}

type databaseFlags struct {
	Schema string `env:"BACKUPD_SCHEMA" placeholder:"NAME" help:"Postgres schema of the tables (database.schema). The database itself comes from DATABASE_URL or database.url."`
	Wait   string `env:"BACKUPD_DATABASE_WAIT" name:"database-wait" placeholder:"DURATION" help:"How long to keep trying to reach the database (database.wait)."`
}

type listenFlags struct {
	Listen         string `env:"BACKUPD_LISTEN" placeholder:"HOST:PORT" help:"Address of the API (server.listen). Defaults to localhost:3000."`
	InsecureListen bool   `env:"BACKUPD_INSECURE_LISTEN" help:"Allow an address that other machines can reach, although callers aren't authenticated (server.insecureListen)."`
	ProbeListen    string `env:"BACKUPD_PROBE_LISTEN" name:"probe-listen" placeholder:"HOST:PORT" help:"With --no-api: address of /healthz, /readyz and /metrics, which answer whoever asks (probes.listen). Off by default."`
	BaseURL        string `env:"BACKUPD_BASE_URL" name:"base-url" placeholder:"URL" help:"The URL under which people reach the API (server.baseURL)."`
}

func (f logFlags) overrides() []config.Override {
	return given(
		config.Override{Path: "log.level", Flag: "--log-level", Value: f.LogLevel},
		config.Override{Path: "log.format", Flag: "--log-format", Value: f.LogFormat},
	)
}

func (f databaseFlags) overrides() []config.Override {
	return given(
		config.Override{Path: "database.schema", Flag: "--schema", Value: f.Schema},
		config.Override{Path: "database.wait", Flag: "--database-wait", Value: f.Wait},
	)
}

func (f listenFlags) overrides() []config.Override {
	insecure := ""
	if f.InsecureListen {
		insecure = "true"
	}
	return given(
		config.Override{Path: "server.listen", Flag: "--listen", Value: f.Listen},
		config.Override{Path: "server.insecureListen", Flag: "--insecure-listen", Value: insecure},
		config.Override{Path: "probes.listen", Flag: "--probe-listen", Value: f.ProbeListen},
		config.Override{Path: "server.baseURL", Flag: "--base-url", Value: f.BaseURL},
	)
}

func given(overrides ...config.Override) []config.Override {
	var set []config.Override
	for _, o := range overrides {
		if o.Value != "" {
			set = append(set, o)
		}
	}
	return set
}

// load reads the configuration file. Where there is none, that is all that is
// wrong.
func (c *cli) load(sys *system, overrides ...[]config.Override) (*config.File, config.Problems) {
	f, problems := c.loadIfThere(sys, overrides...)
	if f.Name() == "" {
		return f, config.Problems{{Text: "there is no backupd.yaml here: say with --config or BACKUPD_CONFIG where the configuration file is"}}
	}
	return f, problems
}

// loadIfThere takes no file for an empty one.
func (c *cli) loadIfThere(sys *system, overrides ...[]config.Override) (*config.File, config.Problems) {
	path := c.Config
	if path == "" {
		if _, err := os.Stat(defaultConfig); !errors.Is(err, fs.ErrNotExist) {
			path = defaultConfig
		}
	}
	var all []config.Override
	for _, o := range overrides {
		all = append(all, o...)
	}
	return config.Load(path, sys.env, all...)
}

// logger writes to standard error what is at least as grave as the level.
func (sys *system) logger(l config.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.Level)) // it was checked; info otherwise
	opts := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(sys.err, opts))
	}
	return slog.New(slog.NewTextHandler(sys.err, opts))
}
