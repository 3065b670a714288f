package app_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/app"
)

func TestCheckListen(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"localhost:3000", "127.0.0.1:3000", "127.8.9.1:0", "[::1]:3000"} {
		require.NoError(t, app.CheckListen(t.Context(), address))
	}
	for _, address := range []string{":3000", "0.0.0.0:3000", "[::]:3000", "192.0.2.1:3000", "[2001:db8::1]:3000"} {
		require.ErrorContains(t, app.CheckListen(t.Context(), address), "anybody who reaches this address")
	}
	for _, address := range []string{"3000", "", "a:b:c"} {
		require.Error(t, app.CheckListen(t.Context(), address))
	}
}

func TestOneLine(t *testing.T) {
	t.Parallel()
	require.Equal(t, "connect: a: refused; b: refused", app.OneLine(errors.New("connect:\n\ta: refused\n\ta: refused\n\tb: refused\n")))
}
