package env

import (
	"os"
	"path/filepath"
	"testing"

	azcontainer "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/stretchr/testify/require"
)

func startTestAzurite(t *testing.T, o AzuriteOptions) *Azurite {
	t.Helper()
	cache, err := cacheDir("")
	require.NoError(t, err)
	_, err = azuritePackage.fetch(t.Context(), cache, nil)
	need(t, err)
	o.Ways = []Way{Fetched}
	a, err := StartAzurite(t.Context(), &o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	return a
}

func testContainer(t *testing.T, a *Azurite) *azcontainer.Client {
	t.Helper()
	c, err := azcontainer.NewClientFromConnectionString(a.ConnectionString, "test", nil)
	require.NoError(t, err)
	return c
}

// Azurite writes what it knows a few seconds late, and when it is asked to end.
func TestAzuriteKeepsItsDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(openDir(t), "new")
	first := startTestAzurite(t, AzuriteOptions{Dir: dir})
	require.Contains(t, first.Source, "azurite@3.37.0")
	_, err := testContainer(t, first).Create(t.Context(), nil)
	require.NoError(t, err)

	_, err = StartAzurite(t.Context(), &AzuriteOptions{Ways: []Way{Fetched}, Dir: dir})
	require.ErrorIs(t, err, errInUse)

	require.NoError(t, first.Close())
	second := startTestAzurite(t, AzuriteOptions{Dir: dir})
	_, err = testContainer(t, second).GetProperties(t.Context(), nil)
	require.NoError(t, err)
}

func TestAzuriteThatDoesNotStart(t *testing.T) {
	t.Parallel()
	startTestAzurite(t, AzuriteOptions{})
	_, err := StartAzurite(t.Context(), &AzuriteOptions{Ways: []Way{Fetched}, Port: listen(t)})
	require.ErrorContains(t, err, "fetched: start azurite: it ended")
	require.ErrorContains(t, err, "EADDRINUSE")
	require.ErrorIs(t, err, ErrPortTaken)
}

func TestAzuriteUnavailable(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := StartAzurite(t.Context(), &AzuriteOptions{CacheDir: t.TempDir()})
	var unavailable *UnavailableError
	require.ErrorAs(t, err, &unavailable)
	require.Len(t, unavailable.Tried, 2)
	require.ErrorContains(t, err, "Install Node.js 20")
}

func TestAzuriteGiven(t *testing.T) {
	t.Parallel()
	a, err := StartAzurite(t.Context(), &AzuriteOptions{ConnectionString: "given"})
	require.NoError(t, err)
	require.Equal(t, "given", a.ConnectionString)
	require.NoError(t, a.Close())
}

// A directory whose owner lives is left alone, and so is one that is not ours.
func TestSweepLeavesTheLivingAlone(t *testing.T) {
	t.Parallel()
	base := openDir(t)
	prefix := filepath.Join(base, workPrefix+"x-")
	mine, err := takeWorkDir(mkdir(t, prefix+"living"), currentAccount())
	require.NoError(t, err)
	dead, err := takeWorkDir(mkdir(t, prefix+"dead"), currentAccount())
	require.NoError(t, err)
	require.NoError(t, dead.close()) // given up, as when its owner was killed
	mkdir(t, prefix+"unowned")
	sweep(prefix, currentAccount())
	require.DirExists(t, mine.path)
	require.NoDirExists(t, dead.path)
	require.DirExists(t, prefix+"unowned")
	require.NoError(t, mine.close())
}

func mkdir(t *testing.T, path string) string {
	t.Helper()
	require.NoError(t, os.Mkdir(path, 0o700))
	return path
}
