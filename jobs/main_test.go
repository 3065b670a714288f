package jobs

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/sitebackup/sitebackup/internal/envtest"
)

// atOnce is how many tests run at once, unless -parallel says otherwise: nearly
// all of their time they wait for a lease to end, or for another process.
const atOnce = 6

func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		childMain(spec)
	}
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = f.Value.Set(strconv.Itoa(max(atOnce, runtime.GOMAXPROCS(0))))
	}
	envtest.Main(m)
}
