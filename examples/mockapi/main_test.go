package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

func TestRunServesUntilItIsStopped(t *testing.T) {
	t.Parallel()
	var f flags
	parser, err := kong.New(&f)
	require.NoError(t, err)
	_, err = parser.Parse([]string{"--listen=127.0.0.1:0", "--site-size=3KiB", "--db-fault=stall=10"})
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, &f, in) }()
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	site := lines.Text()
	require.True(t, lines.Scan())

	resp, err := http.Get(strings.NewReplacer("{userId}", "u", "{siteId}", "s").Replace(site))
	require.NoError(t, err)
	defer resp.Body.Close()
	require.EqualValues(t, 3<<10, resp.ContentLength)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)

	cancel()
	require.NoError(t, <-done)
	_, err = http.Get(site)
	require.Error(t, err)
}

func TestFlagsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	parser, err := kong.New(new(flags))
	require.NoError(t, err)
	_, err = parser.Parse([]string{"--site-fault=cuts=1"})
	require.ErrorContains(t, err, `unknown word "cuts"`)
	_, err = parser.Parse([]string{"--db-size=many"})
	require.ErrorContains(t, err, `size "many" must be a whole number`)
}
