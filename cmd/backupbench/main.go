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
)

const (
	statusFailed = 1
	statusUsage  = 2
)

const description = `Measures what a backup costs: source, store and worker are three processes, and the store keeps nothing.

It prints tables in Markdown. It ends with status 0 when all went well, 1 when something is wrong or, with --gate, a target is missed, and 2 when the command line is.`

// system is what a command has of the world around it.
type system struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

type cli struct {
	Run    runCmd    `cmd:"" default:"withargs" help:"Run the benchmark and print its tables."`
	Source sourceCmd `cmd:"" hidden:"" help:"Serve an export."`
	Sink   sinkCmd   `cmd:"" hidden:"" help:"Be a store that keeps nothing."`
	Worker workerCmd `cmd:"" hidden:"" help:"Do one thing once and say what it took."`
}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], &system{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	cancel()
	os.Exit(status)
}

func run(ctx context.Context, args []string, sys *system) int {
	var c cli
	exited := false
	parser, err := kong.New(&c, kong.Name("backupbench"), kong.Description(description), kong.UsageOnError(),
		kong.Writers(sys.out, sys.err), kong.Exit(func(int) { exited = true }),
		kong.Bind(sys), kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		return fail(sys, err)
	}
	command, err := parser.Parse(args)
	if exited { // it has printed the help
		return 0
	}
	if err != nil {
		fmt.Fprintf(sys.err, "backupbench: %s; backupbench --help says more\n", err)
		return statusUsage
	}
	if err := command.Run(); err != nil {
		return fail(sys, err)
	}
	return 0
}

func fail(sys *system, err error) int {
	if !errors.Is(err, errMissed) { // the table says which
		fmt.Fprintf(sys.err, "backupbench: %s\n", err)
	}
	return statusFailed
}
