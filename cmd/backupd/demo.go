package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/app"
	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
	"github.com/sitebackup/sitebackup/cmd/backupd/internal/demo"
)

const defaultListen = "localhost:3000"

type demoCmd struct {
	Once     bool        `help:"Exit after the check."`
	Size     config.Size `default:"64MiB" help:"Size of each of the two exports, such as 1GiB."`
	Azurite  bool        `help:"Store to Azurite, the Azure Blob Storage emulator."`
	Dir      string      `placeholder:"DIR" help:"Keep what is stored in this directory. Defaults to a temporary one."`
	Listen   string      `placeholder:"HOST:PORT" help:"Address of the API. Defaults to localhost:3000, or a free port if that is taken."`
	LogLevel string      `default:"warn" enum:"debug,info,warn,error" help:"debug, info, warn or error."`
}

// Run runs the demo.
func (c *demoCmd) Run(ctx context.Context, sys *system) error {
	if c.Size <= 0 {
		return usage("--size must be at least 1 byte")
	}
	listener, note, err := c.listen(ctx)
	if err != nil {
		return err
	}
	if note != "" {
		_, _ = io.WriteString(sys.out, note) // nobody is there to read it if it fails
	}
	database, _ := sys.env("DATABASE_URL")
	return demo.Run(ctx, &demo.Options{
		Size: int64(c.Size), Azurite: c.Azurite, Once: c.Once, Dir: c.Dir, Listener: listener, Database: database,
		Terminal: isTerminal(sys), Version: version(), Out: sys.out, Log: sys.logger(config.Log{Level: c.LogLevel}),
	})
}

// listen takes another port only where nobody asked for this one.
func (c *demoCmd) listen(ctx context.Context) (l net.Listener, note string, err error) {
	if c.Listen != "" {
		l, err = app.Listen(ctx, &config.File{Server: config.Server{Listen: c.Listen}})
		return l, "", err
	}
	l, err = app.Listen(ctx, &config.File{Server: config.Server{Listen: defaultListen}})
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, "", err
	}
	l, err = app.Listen(ctx, &config.File{Server: config.Server{Listen: "localhost:0"}})
	return l, "Port 3000 is taken: this takes another one; --listen chooses it.\n", err
}

func isTerminal(sys *system) bool {
	file, ok := sys.out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	term, _ := sys.env("TERM")
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && term != "" && term != "dumb"
}
