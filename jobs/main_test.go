package jobs

import (
	"os"
	"testing"

	"github.com/sitebackup/sitebackup/internal/envtest"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		childMain(spec)
	}
	envtest.Main(m)
}
