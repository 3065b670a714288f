package demo

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/app"
	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
)

// startApp starts what the command serve starts.
func (d *demo) startApp(ctx context.Context) error {
	a, err := app.Start(ctx, d.config(), app.Options{
		API: true, Workers: true, Migrate: true, Version: d.Version, Log: d.Log, Listener: d.Listener,
	})
	if err != nil {
		return err
	}
	d.app = a
	d.cleanup(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, app.StopPatience)
		defer cancel()
		return a.Stop(ctx)
	})
	transport := &http.Transport{}
	d.client = &http.Client{Timeout: 30 * time.Second, Transport: transport}
	// A server that is told to end waits for connections that nobody has used yet.
	d.cleanup(func(context.Context) error { transport.CloseIdleConnections(); return nil })
	d.printf("Destination  %s\nAPI          %s\n\n", a.Store, a.URL)
	return nil
}

// config is what an operator would write in a file.
func (d *demo) config() *config.File {
	p := &d.places
	f := &config.File{
		Database: config.Database{URL: secret(p.postgres.URL), Schema: p.schema, Wait: config.Duration(30 * time.Second)},
		// Quick, for the progress that is shown.
		Workers: config.Workers{Heartbeat: config.Duration(time.Second), JournalEvery: config.Duration(500 * time.Millisecond)},
	}
	if d.Azurite {
		f.Destination.Azure = &config.AzureDestination{ConnectionString: secret(p.azurite.ConnectionString), Container: "backups", Create: true}
	} else {
		f.Destination.File = &config.FileDestination{Path: p.dir}
	}
	for _, o := range p.exports {
		f.Providers = append(f.Providers, config.Provider{
			Name: o.Name, URL: fmt.Sprintf("%s/%s/export/{userId}/{siteId}", p.apiURL, o.Name),
			Auth: &config.Auth{Bearer: secret(o.Token)},
		})
	}
	return f
}

func secret(value string) config.Secret { return config.NewSecret(value, "(the demo's own)") }

// dropSchema removes the demo's tables from a database that isn't its own.
func (d *demo) dropSchema(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, d.places.postgres.URL)
	if err != nil {
		return fmt.Errorf("drop schema %s: %w", d.places.schema, err)
	}
	defer func() { _ = conn.Close(ctx) }() // the process is about to end
	if _, err := conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{d.places.schema}.Sanitize()+" CASCADE"); err != nil {
		return fmt.Errorf("drop schema %s: %w", d.places.schema, err)
	}
	return nil
}
