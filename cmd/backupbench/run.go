package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// runCmd is the benchmark.
type runCmd struct {
	Size        []size        `default:"1GiB" help:"Length of the export, or several: 1GiB,20GiB."`
	Runs        int           `default:"5" help:"How often each is run. The runs of all are interleaved."`
	Only        []kind        `placeholder:"KIND" help:"What to run, of discard, file, sha256, unhashed, engine, task and rclone. Defaults to all; to sha256, unhashed, engine and task with --gate."`
	Network     []network     `placeholder:"NETWORK" help:"How the processes are connected: plain, tls, delay, which adds --delay to each request, or distant, which is delay with --distant and --distant-part. Defaults to all; to plain with --gate."`
	Delay       time.Duration `default:"50ms" help:"What the networks delay and distant add to each request."`
	Part        size          `default:"8MiB" help:"Size of a part."`
	Concurrency int           `default:"4" help:"How many parts are sent at once."`
	Distant     int           `default:"12" help:"How many are with the network distant."`
	DistantPart size          `default:"4MiB" help:"And how large."`
	Gate        bool          `help:"End with status 1 when a target for CPU or memory is missed. Runs are added, up to three times as many, before one is taken for missed."`
	Checksum    bool          `help:"Let the store compare each block with its checksum. It takes its share of the processors."`
	Rclone      string        `placeholder:"PATH" help:"rclone to compare with. Defaults to the one on the PATH, if any."`
	Database    string        `env:"DATABASE_URL" help:"Postgres for the task. It gets a schema of its own there, which is dropped at the end. Defaults to starting one."`
	Profile     string        `placeholder:"DIR" help:"Write a CPU profile of each worker there."`
}

// errMissed means that a target was missed. The tables say which.
var errMissed = errors.New("a target was missed")

// Run runs the benchmark.
func (c *runCmd) Run(ctx context.Context, sys *system) (err error) {
	if err := c.complete(); err != nil {
		return err
	}
	// Postgres may be another user's.
	dir, err := os.MkdirTemp("", "backupbench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	lab := &lab{cmd: c, dir: dir, err: &sharedWriter{w: sys.err}, results: newResults()}
	defer func() { err = errors.Join(err, lab.close(context.WithoutCancel(ctx))) }()
	if err := lab.open(ctx); err != nil {
		return err
	}
	missed, err := c.rounds(ctx, lab)
	if err != nil {
		return err
	}
	if err := c.print(sys.out, lab.results); err != nil {
		return err
	}
	if c.Gate && missed {
		return errMissed
	}
	return nil
}

// complete fills in what wasn't said.
func (c *runCmd) complete() error {
	switch {
	case c.Runs < 1:
		return errors.New("--runs must be at least 1")
	case c.Concurrency < 1:
		return errors.New("--concurrency must be at least 1")
	case c.Distant < 1:
		return errors.New("--distant must be at least 1")
	case c.Part < 64<<10:
		return errors.New("--part must be at least 64KiB")
	case c.DistantPart < 64<<10:
		return errors.New("--distant-part must be at least 64KiB")
	}
	given := len(c.Only) > 0
	switch {
	case given:
	case c.Gate:
		c.Only = []kind{kindSHA256, kindUnhashed, kindEngine, kindTask}
	default:
		c.Only = slices.Clone(kinds)
	}
	if gate := []kind{kindSHA256, kindUnhashed, kindEngine, kindTask}; c.Gate && !containsAll(c.Only, gate) {
		return fmt.Errorf("--gate compares what is measured in the same run: --only must have %s", join(gate))
	}
	switch {
	case len(c.Network) > 0:
	case c.Gate:
		c.Network = []network{networkPlain}
	default:
		c.Network = slices.Clone(networks)
	}
	if !slices.Contains(c.Only, kindRclone) {
		return nil
	}
	if c.Rclone == "" {
		c.Rclone, _ = exec.LookPath("rclone") // nothing is found or it is
	}
	if c.Rclone != "" {
		_, err := os.Stat(c.Rclone)
		return err
	}
	if given {
		return errors.New("rclone isn't on the PATH: say with --rclone where it is")
	}
	c.Only = slices.DeleteFunc(c.Only, func(k kind) bool { return k == kindRclone })
	return nil
}

func containsAll(all, some []kind) bool {
	return !slices.ContainsFunc(some, func(k kind) bool { return !slices.Contains(all, k) })
}

// rounds runs each case as often as it is to be run, one after the other, so that what else the
// machine does meets all alike. It says whether a target that is gated was missed.
func (c *runCmd) rounds(ctx context.Context, lab *lab) (missed bool, err error) {
	most := c.Runs
	if c.Gate {
		most = 3 * c.Runs
	}
	for round := range most {
		for _, it := range c.cases() {
			if err := lab.run(ctx, it, round); err != nil {
				return false, fmt.Errorf("%s, %s: %w", it.kind, it.size, err)
			}
		}
		if round+1 < c.Runs {
			continue
		}
		missed = slices.ContainsFunc(c.targets(lab.results), func(t target) bool { return t.gated && !t.met() })
		if !missed {
			break
		}
	}
	return missed, nil
}

// item is what a row of the table is about.
type item struct {
	size    size
	network network // "" where there is none
	kind    kind
}

// cases are what a round runs, in order.
func (c *runCmd) cases() []item {
	var all []item
	for _, size := range c.Size {
		if slices.Contains(c.Only, kindSHA256) {
			all = append(all, item{size, "", kindSHA256})
		}
		for _, network := range c.Network {
			for _, kind := range kinds {
				// A copy that sends no parts is the same whether few or many are sent.
				again := network == networkFar && !kind.sends() && slices.Contains(c.Network, networkSlow)
				if kind != kindSHA256 && slices.Contains(c.Only, kind) && !again {
					all = append(all, item{size, network, kind})
				}
			}
		}
	}
	return all
}

// print writes the tables.
func (c *runCmd) print(w io.Writer, r *results) error {
	text := c.describe(r) + "\n" + c.table(r)
	if targets := c.targets(r); len(targets) > 0 {
		text += "\n" + targetTable(targets)
	}
	_, err := io.WriteString(w, text)
	return err
}

// profilePath is where the profile of a run is written; "" for none.
func (c *runCmd) profilePath(it item, round int) string {
	if c.Profile == "" {
		return ""
	}
	return filepath.Join(c.Profile, fmt.Sprintf("%s-%s-%d-%d.pprof", it.kind, it.network, it.size, round))
}
