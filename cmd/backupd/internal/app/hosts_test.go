package app

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
)

// Names are checked where being on this machine is the only credential.
func TestAllowedHosts(t *testing.T) {
	t.Parallel()
	f := &config.File{Server: config.Server{BaseURL: "https://backup.example.com"}}
	loopback, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = loopback.Close() })
	everywhere, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = everywhere.Close() })

	require.Equal(t, []string{"localhost", "backup.example.com"}, allowedHosts(loopback, f))
	require.Empty(t, allowedHosts(everywhere, f))
	for _, url := range []string{"http://localhost:3000", "http://127.0.0.1:3000"} { // as in compose.yaml
		f.Server.BaseURL = url
		require.Contains(t, allowedHosts(everywhere, f), "localhost", url)
		require.NotContains(t, allowedHosts(everywhere, f), "backup.example.com")
	}
	f.Server.BaseURL = ""
	require.Empty(t, allowedHosts(everywhere, f))
	f.API.Tokens = []config.Token{{}}
	require.Empty(t, allowedHosts(loopback, f))
}
