package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// serverFlags are those of the processes that serve.
type serverFlags struct {
	Cert  string        `help:"File with the certificate and its key. Serves TLS."`
	Delay time.Duration `help:"How much later requests are answered."`
}

// greeting is the first line that a server prints.
type greeting struct{ URL string }

// serve serves h on a free port, prints the greeting, waits until standard input ends, and
// prints the report. Input ends when the parent wants it, or is no more.
func (f *serverFlags) serve(ctx context.Context, sys *system, h http.Handler, report func() any) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address, scheme := l.Addr().String(), "http"
	if f.Cert != "" {
		cert, err := tls.LoadX509KeyPair(f.Cert, f.Cert)
		if err != nil {
			return errors.Join(err, l.Close())
		}
		// Azure has no HTTP/2.
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}})
		scheme = "https"
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, sys.in)
		ended <- err
	}()
	if err := json.NewEncoder(sys.out).Encode(greeting{URL: scheme + "://" + address}); err != nil {
		return errors.Join(err, server.Close())
	}
	select {
	case err = <-failed:
		return fmt.Errorf("serve: %w", err)
	case err = <-ended:
	case <-ctx.Done():
	}
	return errors.Join(err, server.Close(), json.NewEncoder(sys.out).Encode(report()))
}
