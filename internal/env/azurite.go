package env

import (
	"context"
	"fmt"
	"log/slog"
)

// The account and the key that every Azurite has, as its documentation states them. They are public.
const (
	azuriteAccount = "devstoreaccount1"
	azuriteKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

const azuriteHint = `Install Node.js 20 or newer with npm, or start a Docker engine; or run an Azurite yourself and give its
connection string.`

// azuritePackage is the version that checks CRC64: the one that npm chooses for Node.js 20 refuses it.
var azuritePackage = npmPackage{name: "azurite", version: "3.37.0"}

// AzuriteOptions says which Azurite is wanted, and how it may be had.
type AzuriteOptions struct {
	// ConnectionString is that of a running Azurite, used as it is and never stopped. Defaults to
	// starting one.
	ConnectionString string
	// Ways are the ways to try, in this order. Defaults to Fetched, Docker.
	Ways []Way
	// Dir keeps the blobs; a container does not use it. Defaults to a temporary directory, removed
	// when Azurite is stopped.
	Dir string
	// Port is the port to listen on; the error is ErrPortTaken where somebody else does. Defaults to a
	// free one. A container does not use it.
	Port int
	// CacheDir is where fetched programs are kept. Defaults as in PostgresOptions.
	CacheDir string
	// Image is the container image. Defaults to mcr.microsoft.com/azure-storage/azurite:3.37.0.
	Image string
	// Log is told of a download at the level info, and gets the server's output at the level debug.
	// Defaults to nothing.
	Log *slog.Logger
}

// Azurite is a running emulator of Azure Blob Storage.
type Azurite struct {
	// ConnectionString is what an Azure SDK takes.
	ConnectionString string
	// URL is the blob service's, with the account's name as its path. It is empty for an Azurite that
	// was given.
	URL string
	// Source says in a few words where it came from.
	Source string

	stopper
}

// StartAzurite returns the Azurite given, or starts one, in the first way that works. ctx bounds the
// start only: it runs until Stop or Close is called, or this process ends. When no way works the
// error is an *UnavailableError.
func StartAzurite(ctx context.Context, opts *AzuriteOptions) (*Azurite, error) {
	o := AzuriteOptions{}
	if opts != nil {
		o = *opts
	}
	o.Log = orDiscard(o.Log)
	ways, err := checkWays(o.Ways, Fetched, Docker)
	if err != nil {
		return nil, fmt.Errorf("start azurite: %w", err)
	}
	if o.Image == "" {
		o.Image = "mcr.microsoft.com/azure-storage/azurite:" + azuritePackage.version
	}
	if o.ConnectionString != "" {
		return &Azurite{ConnectionString: o.ConnectionString, Source: "the given connection string"}, nil
	}
	return firstThatWorks(ctx, o.Log, &UnavailableError{Service: "azurite", Hint: azuriteHint}, ways, map[Way]starter[*Azurite]{
		Fetched: o.startFetched,
		Docker:  o.startContainer,
	})
}

// AzuriteConnectionString returns the connection string of the Azurite that listens at the address, a
// host and a port.
func AzuriteConnectionString(addr string) string {
	return fmt.Sprintf("DefaultEndpointsProtocol=http;AccountName=%s;AccountKey=%s;BlobEndpoint=%s;",
		azuriteAccount, azuriteKey, azuriteURL(addr))
}

func azuriteURL(addr string) string { return "http://" + addr + "/" + azuriteAccount }

func newAzurite(addr, source string, stop func(context.Context) error) *Azurite {
	return &Azurite{ConnectionString: AzuriteConnectionString(addr), URL: azuriteURL(addr), Source: source, stopper: stopper{stop: stop}}
}
