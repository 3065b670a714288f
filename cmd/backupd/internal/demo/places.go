package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sitebackup/sitebackup/examples/mockapi/export"
	"github.com/sitebackup/sitebackup/internal/env"
)

// places are what a real installation has already.
type places struct {
	dir      string // for the objects
	postgres *env.Postgres
	schema   string
	azurite  *env.Azurite
	apiURL   string // of the mock export APIs
	exports  []export.Options
}

func (d *demo) startPlaces(ctx context.Context) error {
	for _, start := range []func(context.Context) error{d.makeDir, d.startPostgres, d.startAzurite, d.startExports} {
		if err := start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) makeDir(context.Context) (err error) {
	if d.Dir != "" {
		if d.places.dir, err = filepath.Abs(d.Dir); err != nil {
			return fmt.Errorf("find directory: %w", err)
		}
		return os.MkdirAll(d.places.dir, 0o700)
	}
	if d.places.dir, err = os.MkdirTemp("", "sitebackup-demo-"); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	d.cleanup(func(context.Context) error { return os.RemoveAll(d.places.dir) })
	return nil
}

// startPostgres has a schema of its own in a database that was given, and leaves
// that as it was.
func (d *demo) startPostgres(ctx context.Context) (err error) {
	p := &d.places
	if d.Database == "" {
		d.printf("Postgres     starting ...\n")
	}
	if p.postgres, err = env.StartPostgres(ctx, &env.PostgresOptions{URL: d.Database, Log: d.Log}); err != nil {
		return err
	}
	d.cleanup(p.postgres.Stop)
	p.schema = "backup"
	if d.Database != "" {
		p.schema = "backup_demo_" + strings.ToLower(rand.Text()[:8])
		d.cleanup(d.dropSchema)
	}
	d.printf("Postgres     %s\n", p.postgres.Source)
	return nil
}

func (d *demo) startAzurite(ctx context.Context) (err error) {
	if !d.Azurite {
		return nil
	}
	d.printf("Azurite      starting ...\n")
	p := &d.places
	if p.azurite, err = env.StartAzurite(ctx, &env.AzuriteOptions{Dir: p.dir, Log: d.Log}); err != nil {
		return err
	}
	d.cleanup(p.azurite.Stop)
	d.printf("Azurite      %s\n", p.azurite.Source)
	return nil
}

// startExports serves the mock APIs from this process.
func (d *demo) startExports(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("serve export APIs: %w", err)
	}
	p := &d.places
	var apis []*export.Handler
	for _, name := range []string{"site", "db"} {
		o := export.Options{Name: name, Size: d.Size, Token: rand.Text()}
		p.exports = append(p.exports, o)
		apis = append(apis, export.NewHandler(o))
	}
	server := &http.Server{Handler: export.NewServeMux(apis...), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	d.cleanup(func(context.Context) error {
		err := server.Close() // nobody reads from it any more
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	})
	p.apiURL = "http://" + l.Addr().String()
	d.printf("Export APIs  %s/site, %[1]s/db\n", p.apiURL)
	return nil
}
