package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is set by the linker in a release: -ldflags "-X main.release=1.2.3".
var release string

// version is the release, or what the Go toolchain noted of the source.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return cmp.Or(info.Main.Version, "unknown")
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(sys *system) error {
	_, err := fmt.Fprintf(sys.out, "backupd %s (%s, %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
