// Command backupd backs up users' sites: it reads each provider's export, streams it to
// the destination, proves what it stored, and reports on it over HTTP.
//
//	backupd demo            try everything, with nothing set up
//	backupd config check    report everything that is wrong with the configuration
//	backupd config print    print the effective configuration
//	backupd store check     check that the destination does what backups rely on
//	backupd migrate         prepare the database, or show the state of its migrations
//	backupd serve           serve the API and make backups
//	backupd token new       make a credential for the API
//	backupd backup          start, list, show, watch, cancel, retry, verify, download and
//	                        delete backups on a server: --server and --token, or
//	                        BACKUPD_SERVER and BACKUPD_TOKEN
//	backupd schedule        manage the schedules on a server, and show their next and past runs
//	backupd retention plan  show which backups on a server retention would remove, and why
//	backupd erasure         erase everything that a server has of a user or a site, and show
//	                        the receipt
//	backupd verify          prove a copy offline, with nothing but the copy
//	backupd version         print the version
//
// The exit status is 0 on success, 1 on an error, and 2 if the command line is invalid.
// The commands that talk to a server distinguish more: 3 means that the backup failed or
// was canceled, or that its copy is damaged; 4 that there is no such backup, schedule or
// erasure; 5 that the token is missing or isn't allowed to do this; and 6 that the state
// of the backup or schedule doesn't allow it. With --output json they print JSON. The
// first Ctrl-C or SIGTERM shuts backupd down in an orderly way, and one that only waits
// for a server ends with status 130; a second one ends it at once, with status 130.
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
	parser, err := kong.New(&c, kong.Name("backupd"), kong.Description(description), kong.UsageOnError(),
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
