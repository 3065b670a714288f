package export_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

func TestParseFault(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]export.Fault{
		"":                                  {},
		"cut=10MiB, times=2":                {Cut: true, After: 10 << 20, Times: 2},
		"stall=0":                           {Stall: true},
		"status=503,retry-after=5":          {Status: 503, RetryAfter: "5"},
		"latency=3s,rate=1MB,framing=close": {Latency: 3 * time.Second, Rate: 1e6, Framing: "close"},
		"html,empty,norange,changing":       {HTML: true, Empty: true, NoRange: true, Changing: true},
		"extra=100,etag=weak,version=2":     {ExtraLength: 100, ETag: "weak", Version: 2},
		"digest=trailer":                    {Digest: "trailer"},
		"digest=wrong":                      {Digest: "header", WrongDigest: true},
	} {
		got, err := export.ParseFault(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, message := range map[string]string{
		"cuts=1":      `unknown word "cuts"`,
		"cut":         `cut=: size "" must be a whole number of bytes`,
		"rate=-1":     "must be a whole number of bytes",
		"status=okay": "must be a status code",
		"status=100":  "must be a status code",
		"html=1":      "takes no value",
		"etag=strong": "must be one of weak, none",
		"latency=5":   "missing unit",
	} {
		_, err := export.ParseFault(text)
		require.ErrorContains(t, err, message, text)
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]export.Size{
		"0": 0, "4096": 4096, "7B": 7, "2KiB": 2048, "64MiB": 64 << 20, "1 GiB": 1 << 30, "3TB": 3e12,
	} {
		var got export.Size
		require.NoError(t, got.UnmarshalText([]byte(text)), text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "MiB", "1.5GiB", "-1", "1XB", "9999999999TiB"} {
		var got export.Size
		require.ErrorContains(t, got.UnmarshalText([]byte(text)), "must be a whole number", text)
	}
}
