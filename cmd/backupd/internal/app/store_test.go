package app_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/app"
	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
	"github.com/sitebackup/sitebackup/internal/envtest"
)

func TestMain(m *testing.M) { envtest.Main(m) }

// words are the settings in a connection string.
func words(connectionString string) map[string]string {
	m := make(map[string]string)
	for word := range strings.SplitSeq(connectionString, ";") {
		key, value, _ := strings.Cut(word, "=")
		m[key] = value
	}
	return m
}

// Every credential that the configuration knows, on a real service.
func TestOpenStoreAzure(t *testing.T) {
	t.Parallel()
	azurite := envtest.Azurite(t)
	account := words(azurite)
	name := filepath.Base(envtest.AzuriteContainer(t).URL())
	client, err := container.NewClientFromConnectionString(azurite, name, nil)
	require.NoError(t, err)
	sasURL, err := client.GetSASURL(sas.ContainerPermissions{Read: true, Write: true, Create: true, List: true, Delete: true}, time.Now().Add(time.Hour), nil)
	require.NoError(t, err)
	secret := func(value string) config.Secret { return config.NewSecret(value, "${env:X}") }

	for which, d := range map[string]config.AzureDestination{
		"connection string": {Container: name, ConnectionString: secret(azurite)},
		"shared key":        {Container: name, AccountURL: account["BlobEndpoint"] + "/", Account: account["AccountName"], SharedKey: secret(account["AccountKey"])},
		"SAS":               {SASURL: secret(sasURL)},
		"there already":     {Container: name, ConnectionString: secret(azurite), Create: true},
	} {
		store, err := app.OpenStore(t.Context(), &config.Destination{Azure: &d})
		require.NoError(t, err, which)
		require.True(t, strings.HasSuffix(store.String(), "/"+name), "%s: %s", which, store)
		require.NotContains(t, store.String(), "sig=")
	}
}

func TestOpenStoreMakesAContainer(t *testing.T) {
	t.Parallel()
	azurite := envtest.Azurite(t)
	d := config.AzureDestination{Container: "made-by-test", ConnectionString: config.NewSecret(azurite, "${env:X}")}
	_, err := app.OpenStore(t.Context(), &config.Destination{Azure: &d})
	require.ErrorContains(t, err, "made-by-test")
	require.ErrorContains(t, err, "the container does not exist")

	d.Create = true
	_, err = app.OpenStore(t.Context(), &config.Destination{Azure: &d})
	require.NoError(t, err)

	client, err := container.NewClientFromConnectionString(azurite, "made-by-test", nil)
	require.NoError(t, err)
	_, err = client.Delete(t.Context(), nil)
	require.NoError(t, err)
}

func TestOpenStoreKeepsSecrets(t *testing.T) {
	t.Parallel()
	for _, d := range []config.AzureDestination{
		{Container: "c", ConnectionString: config.NewSecret("AccountKey=hunter2", "${env:X}")},
		{SASURL: config.NewSecret("http://[hunter2", "${env:X}")},
		{Container: "c", AccountURL: "https://a", Account: "a", SharedKey: config.NewSecret("hunter2!", "${env:X}")},
	} {
		_, err := app.OpenStore(t.Context(), &config.Destination{Azure: &d})
		require.ErrorContains(t, err, "${env:X}")
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestOpenStoreFile(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	_, err := app.OpenStore(t.Context(), &config.Destination{File: &config.FileDestination{Path: dir}})
	require.ErrorContains(t, err, dir)
	store, err := app.OpenStore(t.Context(), &config.Destination{File: &config.FileDestination{Path: dir, Create: true}})
	require.NoError(t, err)
	require.Equal(t, "file://"+dir, store.String())
}
