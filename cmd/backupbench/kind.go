package main

import (
	"fmt"
	"slices"
	"strings"
)

// kind is what a worker does.
type kind string

const (
	kindDiscard  kind = "discard"
	kindFile     kind = "file"
	kindUnhashed kind = "unhashed"
	kindSHA256   kind = "sha256"
	kindEngine   kind = "engine"
	kindTask     kind = "task"
	kindRclone   kind = "rclone"
)

var kinds = []kind{kindDiscard, kindFile, kindSHA256, kindUnhashed, kindEngine, kindTask, kindRclone}

// UnmarshalText reads a kind.
func (k *kind) UnmarshalText(text []byte) error {
	if !slices.Contains(kinds, kind(text)) {
		return fmt.Errorf("must be one of %s, not %q", join(kinds), text)
	}
	*k = kind(text)
	return nil
}

// sends reports whether the kind sends parts to the store.
func (k kind) sends() bool { return k != kindDiscard && k != kindFile && k != kindSHA256 }

// title is what the tables say.
func (k kind) title() string {
	return map[kind]string{
		kindDiscard:  "read only (io.Discard)",
		kindFile:     "local file, no fsync",
		kindSHA256:   "SHA-256 alone, in memory",
		kindUnhashed: "unhashed upload",
		kindEngine:   "**engine** (blob.Stage, Commit)",
		kindTask:     "**whole River task**",
		kindRclone:   "rclone copyurl",
	}[k]
}

// network is how the three processes are connected.
type network string

const (
	networkPlain network = "plain"
	networkTLS   network = "tls"
	networkSlow  network = "delay"
	networkFar   network = "distant" // with parts, and as many at a time, as suit a distant store
)

var networks = []network{networkPlain, networkTLS, networkSlow, networkFar}

// UnmarshalText reads a network.
func (n *network) UnmarshalText(text []byte) error {
	if !slices.Contains(networks, network(text)) {
		return fmt.Errorf("must be one of %s, not %q", join(networks), text)
	}
	*n = network(text)
	return nil
}

// title is what the tables say.
func (c *runCmd) title(n network) string {
	switch n {
	case networkTLS:
		return "TLS"
	case networkSlow:
		return "HTTP, +" + c.Delay.String()
	case networkFar:
		return fmt.Sprintf("HTTP, +%s, %d x %s", c.Delay, c.Distant, c.DistantPart)
	default:
		return "HTTP"
	}
}

// part is how large the parts are.
func (c *runCmd) part(n network) size {
	if n == networkFar {
		return c.DistantPart
	}
	return c.Part
}

// concurrency is how many parts are sent at once.
func (c *runCmd) concurrency(n network) int {
	if n == networkFar {
		return c.Distant
	}
	return c.Concurrency
}

func join[T ~string](values []T) string {
	var s []string
	for _, v := range values {
		s = append(s, string(v))
	}
	return strings.Join(s, ", ")
}
