// Package demo is the main job on what a machine has or can fetch: it starts a
// Postgres, mock export APIs and, if asked to, Azurite; runs what the command
// serve runs; makes one backup through the HTTP API; reads the stored objects
// back; and leaves nothing behind.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/app"
)

// The site that is backed up is that of the README's commands.
const (
	userID = "658683afc91423af04d82152"
	siteID = "658683afc91423af04d82153"
)

// Options say what the demo does.
type Options struct {
	Size     int64        // bytes of each export
	Azurite  bool         // store to Azurite instead of a directory
	Once     bool         // end after the check
	Dir      string       // keep what is stored here; "": in a temporary directory
	Listener net.Listener // of the API
	Database string       // URL of a Postgres to use; "": start one
	Terminal bool         // Out is a terminal
	Version  string
	Out      io.Writer
	Log      *slog.Logger
}

// ErrInterrupted means that the demo was stopped before it had shown all.
var ErrInterrupted = errors.New("interrupted")

// Run runs the demo until it has ended or ctx does. It returns when everything
// that it started is gone, whatever happened.
func Run(ctx context.Context, opts *Options) (err error) {
	d := &demo{Options: opts}
	d.cleanup(func(context.Context) error { return closeListener(opts.Listener) })
	defer func() {
		err = errors.Join(err, d.close(ctx))
	}()
	if err := d.show(ctx); err != nil {
		if ctx.Err() != nil {
			return ErrInterrupted
		}
		return err
	}
	if opts.Once {
		d.printf("\nAll is well. Now everything%s is removed again.\n", d.kept())
		return nil
	}
	d.printf("\nCtrl-C ends this and removes everything%s.\n", d.kept())
	return d.app.Wait(ctx)
}

// demo is a running one.
type demo struct {
	*Options
	places   places
	app      *app.App
	client   *http.Client // of the API
	cleanups []func(context.Context) error
}

// show does everything that there is to be shown.
func (d *demo) show(ctx context.Context) error {
	d.printf("Two exports of %s each, from mock APIs to %s.\n\n", size(d.Size), d.destination())
	if err := d.startPlaces(ctx); err != nil {
		return err
	}
	if err := d.startApp(ctx); err != nil {
		return err
	}
	b, err := d.backUp(ctx)
	if err != nil {
		return err
	}
	m, err := d.check(ctx, b)
	if err != nil {
		return err
	}
	if err := d.printManifest(m); err != nil {
		return err
	}
	d.printPlaces(b)
	return nil
}

func (d *demo) destination() string {
	if d.Azurite {
		return "Azurite, the emulator of Azure Blob Storage"
	}
	return "a directory"
}

func (d *demo) kept() string {
	if d.Dir != "" {
		return " but " + d.Dir
	}
	return ""
}

func (d *demo) printf(format string, args ...any) { _, _ = fmt.Fprintf(d.Out, format, args...) } // nobody is there to read it if it fails

// cleanup is called at the end, the last one first.
func (d *demo) cleanup(fn func(context.Context) error) { d.cleanups = append(d.cleanups, fn) }

// close ends everything, also after ctx has ended.
func (d *demo) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*app.StopPatience)
	defer cancel()
	var errs []error
	for len(d.cleanups) > 0 {
		last := len(d.cleanups) - 1
		errs = append(errs, d.cleanups[last](ctx))
		d.cleanups = d.cleanups[:last]
	}
	return errors.Join(errs...)
}

func closeListener(l net.Listener) error {
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) { // the app has closed it
		return fmt.Errorf("close listener: %w", err)
	}
	return nil
}
