package envtest

import (
	"fmt"
	"os"
	"testing"
)

// Main runs the tests, stops the servers that they used, and ends the process. It is all that a
// package's TestMain needs:
//
//	func TestMain(m *testing.M) { envtest.Main(m) }
func Main(m *testing.M) {
	code := m.Run()
	if err := Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}
