package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
)

// Listen opens the server's address. As long as nobody has to say who they are,
// it opens addresses that only this machine can reach.
func Listen(ctx context.Context, f *config.File) (net.Listener, error) {
	var lc net.ListenConfig
	s := &f.Server
	if loopbackOnly(f) {
		if err := CheckListen(ctx, s.Listen); err != nil {
			return nil, err
		}
	}
	l, err := lc.Listen(ctx, "tcp", s.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", s.Listen, reason(err))
	}
	return l, nil
}

// loopbackOnly reports whether an address that others can reach is refused.
func loopbackOnly(f *config.File) bool {
	return len(f.API.Tokens) == 0 && !f.Server.InsecureListen
}

// CheckListen refuses an address that others can reach.
func CheckListen(ctx context.Context, address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("listen on %s: must be an address such as localhost:3000", address)
	}
	var ips []net.IPAddr
	if host != "" {
		if ips, err = net.DefaultResolver.LookupIPAddr(ctx, host); err != nil {
			return fmt.Errorf("listen on %s: %w", address, err)
		}
	}
	for _, ip := range ips {
		if !ip.IP.IsLoopback() {
			host = ""
		}
	}
	if host == "" {
		return fmt.Errorf("listen on %s: anybody who reaches this address could use the API, since no credentials are configured: "+
			"configure api.tokens (\"backupd token new\" makes one), or use localhost, or --insecure-listen if something in front of it checks who asks", address)
	}
	return nil
}

// reason leaves out the address, which was said.
func reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// urlOf is where a listener is reached from this machine.
func urlOf(l net.Listener) string {
	addr, ok := l.Addr().(*net.TCPAddr)
	if ok && (addr.IP.IsLoopback() || addr.IP.IsUnspecified()) {
		return fmt.Sprintf("http://localhost:%d", addr.Port)
	}
	return "http://" + l.Addr().String()
}

// allowedHosts are the names that requests may be for where being on this machine is
// the only credential: on a loopback address, and where people reach the API at one,
// such as through a port that a container publishes. Those are the machine's own and that
// of the server's URL. Where credentials are asked for it is any name: a page of another
// site that has let its own name point here has none of them, since a browser keeps them
// by name.
func allowedHosts(l net.Listener, f *config.File) []string {
	if len(f.API.Tokens) > 0 {
		return nil
	}
	hosts := []string{"localhost"}
	u, err := url.Parse(f.Server.BaseURL)
	if err == nil && u.Hostname() != "" && u.Hostname() != hosts[0] {
		hosts = append(hosts, u.Hostname())
	}
	addr, ok := l.Addr().(*net.TCPAddr)
	here := ok && addr.IP.IsLoopback()
	if !here && (err != nil || u.Hostname() != hosts[0] && !net.ParseIP(u.Hostname()).IsLoopback()) {
		return nil
	}
	return hosts
}
