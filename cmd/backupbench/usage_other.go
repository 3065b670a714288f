//go:build !unix

package main

import (
	"os"
	"time"
)

// processCPU isn't known here.
func processCPU() time.Duration { return 0 }

// childPeak isn't known here.
func childPeak(*os.ProcessState) int64 { return 0 }
