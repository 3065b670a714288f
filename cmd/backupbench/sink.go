package main

import (
	"context"

	"github.com/sitebackup/sitebackup/internal/fakeazure"
)

const containerName = "bench"

// sinkCmd is the process that stands for Azure.
type sinkCmd struct {
	serverFlags
	Checksum bool `help:"Compare blocks with their checksums."`
}

// Run serves until standard input ends, and prints what came.
func (c *sinkCmd) Run(ctx context.Context, sys *system) error {
	h := fakeazure.New(&fakeazure.Options{
		Containers: []string{containerName}, Null: true, SkipChecksum: !c.Checksum, Delay: c.Delay,
	})
	return c.serve(ctx, sys, h, func() any { return h.Stats() })
}
