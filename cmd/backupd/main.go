package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
)

const description = `Backs up users' sites: streams their exports to Azure Blob Storage or a directory, and proves what it stored.

The exit status is 0 on success, 1 on an error, 2 if the command line is invalid, 3 if a backup failed, was canceled or is damaged, 4 if there is none, 5 if the token is missing or isn't allowed to do this, and 6 if the state of the backup or schedule doesn't allow it.`

// system is what a command has of the world around it.
type system struct {
	out io.Writer
	err io.Writer
	env config.Environment
}

type cli struct {
	Config string `short:"c" env:"BACKUPD_CONFIG" placeholder:"FILE" help:"Configuration file. Defaults to backupd.yaml in the current directory, if there is one."`

	Demo      demoCmd      `cmd:"" help:"Try everything with nothing set up: start what is needed, make a backup, and check it."`
	Serve     serveCmd     `cmd:"" help:"Serve the API and make backups."`
	Migrate   migrateCmd   `cmd:"" help:"Migrate the database, or show the state of its migrations."`
	Conf      configCmd    `cmd:"" name:"config" help:"Check or print the configuration."`
	Store     storeCmd     `cmd:"" help:"Check the destination."`
	Backup    backupCmd    `cmd:"" help:"Start, inspect, verify and download backups on a server."`
	Schedule  scheduleCmd  `cmd:"" help:"Manage the schedules on a server."`
	Retention retentionCmd `cmd:"" help:"Show which backups on a server would be kept, and which removed."`
	Erasure   erasureCmd   `cmd:"" help:"Erase everything that a server has of a user or a site."`
	Verify    verifyCmd    `cmd:"" help:"Verify a copy offline, with nothing but the copy. The exit status is 3 if it is damaged."`
	Token     tokenCmd     `cmd:"" help:"Make credentials for the API."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(statusCut)
	}()
	os.Exit(run(ctx, os.Args[1:], &system{out: os.Stdout, err: os.Stderr, env: os.LookupEnv}))
}

func run(ctx context.Context, args []string, sys *system) int {
	var c cli
	exited := false
	parser, err := kong.New(&c, kong.Name("backupd"), kong.Description(description),
		kong.Writers(sys.out, sys.err), kong.Exit(func(int) { exited = true }),
		kong.Bind(sys, &c), kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		return fail(sys, err)
	}
	command, err := parser.Parse(args)
	if exited { // it has printed the help
		return 0
	}
	if err != nil {
		fmt.Fprintf(sys.err, "backupd: %s; backupd --help says more\n", err)
		return statusUsage
	}
	if err := command.Run(); err != nil {
		return fail(sys, err)
	}
	return 0
}

// fail says what is wrong, in one line; or in one for each problem of a
// configuration.
func fail(sys *system, err error) int {
	var problems config.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			fmt.Fprintf(sys.err, "backupd: %s\n", p)
		}
		return statusFailed
	}
	fmt.Fprintf(sys.err, "backupd: %s\n", err)
	return statusOf(err)
}
