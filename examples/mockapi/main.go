// Command mockapi serves the two mock export APIs: a site's content below
// /site, its database below /db. Package export says what they do and how they
// are told to go wrong.
//
//	go run ./examples/mockapi --site-size 1GiB --db-fault cut=10MiB,times=2
//	curl -r 0-99 http://127.0.0.1:8081/site/export/some-user/some-site
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/sitebackup/sitebackup/examples/mockapi/export"
)

type flags struct {
	Listen    string       `default:"127.0.0.1:8081" help:"Address to listen on."`
	SiteSize  export.Size  `default:"64MiB" help:"Size of a site's content, such as 64MiB."`
	DBSize    export.Size  `name:"db-size" default:"16MiB" help:"Size of a site's database."`
	SiteFault export.Fault `placeholder:"WORDS" help:"What is wrong with responses of the site API, such as cut=10MiB,times=2."`
	DBFault   export.Fault `name:"db-fault" placeholder:"WORDS" help:"What is wrong with responses of the db API."`
	Seed      uint64       `help:"Exports of another seed have other bytes."`
	Token     string       `help:"Bearer token that requests must carry. None by default."`
}

func main() {
	var f flags
	kong.Parse(&f, kong.Name("mockapi"), kong.Description("Serves the mock export APIs for a site's content and its database."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, &f, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mockapi:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, and then gives open responses a few seconds.
func run(ctx context.Context, f *flags, out io.Writer) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", f.Listen)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: export.NewServeMux(
			export.NewHandler(export.Options{Name: "site", Size: int64(f.SiteSize), Seed: f.Seed, Token: f.Token, Fault: f.SiteFault}),
			export.NewHandler(export.Options{Name: "db", Size: int64(f.DBSize), Seed: f.Seed, Token: f.Token, Fault: f.DBFault}),
		),
		ReadHeaderTimeout: 10 * time.Second,
	}
	for _, name := range []string{"site", "db"} {
		fmt.Fprintf(out, "http://%s/%s/export/{userId}/{siteId}\n", listener.Addr(), name)
	}

	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { stopped <- shutdown(server) }) //nolint:contextcheck // ctx has ended by then
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		stop()
		return err
	}
	return <-stopped
}

func shutdown(server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return server.Close() // some response is slow, or stalls: that's what it is here for
	}
	return nil
}
