package main

import (
	"fmt"
	"os"
	"strings"
)

// peakMemory is the most memory that this process has had, or 0 where the system doesn't tell.
// Unlike what wait4 tells, Linux's VmHWM knows nothing of the parent.
func peakMemory() int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}
