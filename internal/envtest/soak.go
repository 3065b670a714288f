package envtest

import "os"

// Soak reports whether BACKUP_TEST_SOAK=1. Tests that go through many cases, or through long ones,
// run in full then; "make soak" sets it.
func Soak() bool { return os.Getenv("BACKUP_TEST_SOAK") == "1" }

// Count returns full in a soak and small otherwise.
func Count(small, full int) int {
	if Soak() {
		return full
	}
	return small
}
