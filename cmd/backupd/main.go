// Command backupd backs up users' sites: it reads each provider's export and
// streams it to the destination, proves what it stored, and tells how it stands
// over HTTP.
//
//	backupd demo            show it all, with nothing set up
//	backupd config check    say what is wrong with the configuration
//	backupd migrate up      prepare the database
//	backupd serve           serve the API and make backups
//	backupd backup          start, list, show, watch, cancel, retry, verify, download and rm
//	                        backups of a server: --server and --token, or
//	                        BACKUPD_SERVER and BACKUPD_TOKEN
//	backupd schedule        put, list, show, pause, resume, run and rm schedules of a
//	                        server, and tell their next slots and what became of the others
//	backupd retention plan  tell which backups of a server retention would remove, and why
//	backupd erasure         erase all that a server has of a user or a site, and show the receipt
//	backupd verify          prove a copy with nothing but itself
//
// It ends with status 0 when all went well, 1 when something is wrong, and 2
// when it wasn't understood. The commands that ask a server tell more: 3 means that the
// backup failed or was canceled, or that its copy is damaged, 4 that there is no
// such backup, schedule or erasure, 5 that the token doesn't do, and 6 that its state doesn't
// allow this. With --output json they print JSON. A first Ctrl-C or SIGTERM ends it in order; a
// second one at once, with status 130.
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

It ends with status 0 when all went well, 1 when something is wrong, 2 when the command line is, 3 when a backup failed, was canceled or is damaged, 4 when there is none, 5 when the token doesn't do, 6 when its state doesn't allow it.`

// system is what a command has of the world around it.
type system struct {
	out io.Writer
	err io.Writer
	env config.Environment
}

type cli struct {
	Config string `short:"c" env:"BACKUPD_CONFIG" placeholder:"FILE" help:"Configuration file. Defaults to backupd.yaml, if it is there."`

	Demo      demoCmd      `cmd:"" help:"Show it all, with nothing set up: start what is needed, make a backup, check it."`
	Serve     serveCmd     `cmd:"" help:"Serve the API and make backups."`
	Migrate   migrateCmd   `cmd:"" help:"Prepare the database."`
	Conf      configCmd    `cmd:"" name:"config" help:"Look at the configuration."`
	Backup    backupCmd    `cmd:"" help:"Start, look at and download backups of a server."`
	Schedule  scheduleCmd  `cmd:"" help:"Have backups of a server's made again and again."`
	Retention retentionCmd `cmd:"" help:"See which backups of a server stay."`
	Erasure   erasureCmd   `cmd:"" help:"Erase all that a server has of a user or a site."`
	Verify    verifyCmd    `cmd:"" help:"Prove a copy with nothing but itself. The status is 3 if it is damaged."`
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
