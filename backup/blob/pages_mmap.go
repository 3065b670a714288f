//go:build (linux || darwin || freebsd) && !race

package blob

import "syscall"

// newPages takes memory from the system, outside the garbage collected heap:
// under the collector, buffers would cost up to twice their size. The race
// detector watches the heap only, so that its builds use that.
func newPages(size int64) ([]byte, error) {
	return syscall.Mmap(-1, 0, int(size), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
}

// freePages gives memory that newPages returned back to the system.
func freePages(p []byte) {
	// It fails only for memory that isn't ours.
	_ = syscall.Munmap(p[:cap(p)])
}
