package main

import (
	"context"
	"encoding/base64"
	"os/exec"
	"strings"
)

// rclone runs rclone copyurl with its default settings.
func (l *lab) rclone(ctx context.Context, source, sink, name string) (sample, error) {
	args := []string{
		l.cmd.Rclone, "copyurl", source, ":azureblob:" + containerName + "/rclone/" + name,
		"--config", "", "--retries", "1", "--ca-cert", l.cert,
		"--azureblob-account", "account", "--azureblob-key", base64.StdEncoding.EncodeToString([]byte("key")),
		"--azureblob-endpoint", sink + "/account",
	}
	s, err := measure(ctx, l.err, args, nil, nil)
	s.Wall = max(s.processWall-l.rcloneStart, 0)
	return s, err
}

// startRclone measures what rclone takes to start and end: the least of some runs, the first of
// which reads it from the disk.
func (l *lab) startRclone(ctx context.Context) error {
	for range 5 {
		s, err := measure(ctx, l.err, []string{l.cmd.Rclone, "version"}, nil, nil)
		if err != nil {
			return err
		}
		if l.rcloneStart == 0 || s.processWall < l.rcloneStart {
			l.rcloneStart = s.processWall
		}
	}
	return nil
}

// rcloneVersion is the one that the numbers in this package's documentation are of.
const rcloneVersion = "rclone v1.76.0"

// rcloneLine says which rclone was run.
func rcloneLine(version string) string {
	s := version + ", with its defaults"
	if version != rcloneVersion && version != rcloneVersion+"-DEV" {
		s += "; the documented numbers are of " + rcloneVersion
	}
	return s + ".\n"
}

// rcloneVersionOf is what rclone says of itself, in its first line.
func rcloneVersionOf(path string) string {
	out, err := exec.Command(path, "version").Output() //nolint:noctx // the user's rclone; it takes milliseconds
	if err != nil {
		return "rclone of an unknown version"
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return first
}
