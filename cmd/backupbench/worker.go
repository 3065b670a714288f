package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/pprof"
	"time"
)

// workerCmd is the process that is measured.
type workerCmd struct {
	Kind        kind   `required:"" help:"What to do."`
	Source      string `required:"" help:"URL of the export."`
	Sink        string `required:"" help:"URL of the store."`
	Cert        string `help:"File with the certificate to trust."`
	Size        size   `required:"" help:"Length of the export."`
	Part        size   `required:"" help:"Size of a part."`
	Concurrency int    `required:"" help:"How many parts are sent at once."`
	Dir         string `required:"" help:"Where files are written."`
	Name        string `required:"" help:"What is written is named so; no other run has the name."`
	Schema      string `help:"Postgres schema of the task."`
	Database    string `env:"BACKUPBENCH_DATABASE" help:"URL of Postgres, for the task."`
	Profile     string `help:"Write a CPU profile to this file."`
}

// outcome is what a worker says of its work. The time is that from the first request, or from
// asking for the backup, to the end of the work.
type outcome struct {
	Wall, CPU time.Duration
	Peak      int64  // bytes of memory that the process has had, or 0 if the system doesn't tell
	SHA256    string `json:",omitempty"` // in hexadecimal digits, where it was computed
}

// Run does the work and prints the outcome.
func (c *workerCmd) Run(ctx context.Context, sys *system) error {
	stop, err := c.profile()
	if err != nil {
		return err
	}
	defer stop()
	var out outcome
	if c.Kind == kindTask {
		err = c.task(ctx, &out)
	} else {
		err = c.simple(ctx, &out)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Kind, err)
	}
	out.Peak = peakMemory()
	return json.NewEncoder(sys.out).Encode(out)
}

func (c *workerCmd) profile() (stop func(), err error) {
	if c.Profile == "" {
		return func() {}, nil
	}
	f, err := os.Create(c.Profile)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close() // a profile that can't be read shows it
	}, nil
}

// simple does what needs nothing started before.
func (c *workerCmd) simple(ctx context.Context, out *outcome) error {
	work := map[kind]func(context.Context) ([]byte, error){
		kindDiscard:  c.discard,
		kindFile:     c.file,
		kindUnhashed: c.unhashed,
		kindSHA256:   c.sha256,
		kindEngine:   c.engine,
	}[c.Kind]
	lap := startLap()
	sum, err := work(ctx)
	out.Wall, out.CPU = lap.end()
	out.SHA256 = hex.EncodeToString(sum)
	return err
}

// lap measures a part of what a process does.
type lap struct {
	began time.Time
	used  time.Duration
}

func startLap() lap { return lap{now(), processCPU()} }

func (l lap) end() (wall, cpu time.Duration) { return now().Sub(l.began), processCPU() - l.used }

// open asks for the export.
func (c *workerCmd) open(ctx context.Context) (io.ReadCloser, error) {
	config, err := trust(c.Cert)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Source, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Transport{TLSClientConfig: config, DisableCompression: true}).RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK || resp.ContentLength != int64(c.Size) {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("the source answers %s with %d bytes", resp.Status, resp.ContentLength)
	}
	return resp.Body, nil
}
