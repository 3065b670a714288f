package httpapi

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// The defaults of the example configuration are those of this package.
func TestExampleDefaults(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile("../examples/backupd.yaml")
	require.NoError(t, err)
	limit, streams := (&RateLimit{}).withDefaults(), (&Streams{}).withDefaults()
	for key, value := range map[string]int{
		"perSecond": int(limit.PerSecond), "burst": limit.Burst, "failuresPerMinute": limit.FailuresPerMinute, "max": streams.Max, "maxPerCaller": streams.MaxPerCaller,
	} {
		require.Regexp(t, fmt.Sprintf(`(?m)^  #  %s: %d( #.*)?$`, key, value), string(example))
	}
}
