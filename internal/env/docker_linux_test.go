package env

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// needEngine skips the test where no Docker engine answers, or fails it where that is forbidden.
// These are tests of Docker itself: a machine without one passes over them with -skip '^TestDocker'.
func needEngine(t *testing.T) {
	t.Helper()
	need(t, checkEngine(t.Context()))
}

// containers returns those of this package that there are, running or not.
func containers(t *testing.T) []string {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), "docker", "ps", "--all", "--format", "{{.Names}}", "--filter", "name="+workPrefix)
	out, err := cmd.Output()
	require.NoError(t, err)
	return strings.Fields(string(out))
}

// newContainers returns those that there were not before.
func newContainers(t *testing.T, before []string) []string {
	t.Helper()
	return slices.DeleteFunc(containers(t), func(name string) bool { return slices.Contains(before, name) })
}

func TestDockerPostgres(t *testing.T) {
	needEngine(t)
	before := containers(t)
	p := start(t, PostgresOptions{Ways: []Way{Docker}, Image: os.Getenv("BACKUP_TEST_POSTGRES_IMAGE")})
	require.Contains(t, p.Source, "container image")
	require.Equal(t, "64MB", query(t, p.URL, "SHOW shared_buffers"))
	require.Equal(t, "on", query(t, p.URL, "SHOW fsync"))
	require.Len(t, newContainers(t, before), 1)
	require.NoError(t, p.Close())
	require.Empty(t, newContainers(t, before))
}

func TestDockerAzurite(t *testing.T) {
	needEngine(t)
	before := containers(t)
	a, err := StartAzurite(t.Context(), &AzuriteOptions{Ways: []Way{Docker}, Image: os.Getenv("BACKUP_TEST_AZURITE_IMAGE")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	res, err := http.Get(a.URL)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Len(t, newContainers(t, before), 1)
	require.NoError(t, a.Close())
	require.Empty(t, newContainers(t, before))
}

func TestDockerKilledOwnerLeavesNoContainer(t *testing.T) {
	needEngine(t)
	for _, service := range []string{"postgres", "azurite"} {
		before := containers(t)
		w := startOwner(t, order{Service: service, Ways: []Way{Docker}}, nil)
		require.Empty(t, w.Error)
		require.Len(t, newContainers(t, before), 1)
		w.kill()
		require.Eventually(t, func() bool { return len(newContainers(t, before)) == 0 }, 30*time.Second, 100*time.Millisecond)
	}
}

func TestDockerImageThatIsNotThere(t *testing.T) {
	needEngine(t)
	_, err := StartPostgres(t.Context(), &PostgresOptions{Ways: []Way{Docker}, Image: "sitebackup-none:none"})
	require.ErrorContains(t, err, "docker: start container from sitebackup-none:none: it ended: exit status 125")
}
