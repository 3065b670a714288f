package httpapi

import (
	"cmp"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sitebackup/sitebackup/backup"
)

// Options are the optional settings of Register and NewHandler. Nil is the same
// as the zero value.
type Options struct {
	// Logger gets what clients aren't told, and in NewHandler the access log.
	// Defaults to that of the backup client.
	Logger *slog.Logger

	// Authorize finds out who sent a request: see [Tokens.Authorize]. The request
	// has no body. The error [ErrUnauthenticated] is answered 401, a [*Problem] as it
	// says, and any other 500, or 503 where the database is away; that is logged, so
	// it must not quote the credential. It may be called by many goroutines at once.
	// Defaults to nil: nobody is asked, and everybody who reaches the server may do
	// everything.
	Authorize func(*http.Request) (*Caller, error)

	// AuthorizeHandlers is Authorize for Handlers, which people open in a browser:
	// see [Tokens.AuthorizeBasic]. Defaults to Authorize.
	AuthorizeHandlers func(*http.Request) (*Caller, error)

	// RateLimit bounds how often callers may ask, where Authorize is set: beyond it
	// they are answered 429, with a Retry-After.
	RateLimit RateLimit

	// Watcher tells of events as they are written. The host runs it, and stops it when
	// its server has closed its listeners and waits for the last requests (see
	// [http.Server.RegisterOnShutdown]): that ends event streams and long polls.
	// Defaults to nil: each of those asks the database every 2 seconds, and only its
	// client ends it.
	Watcher *backup.Watcher

	// Streams bound event streams and long polls.
	Streams Streams

	// Timeout bounds the work for one request, but for what a download takes. Defaults to 10 seconds.
	Timeout time.Duration

	// StallTimeout ends a download whose reader takes nothing, or whose store gives
	// nothing, for so long, and the answer to a long poll that isn't taken in that time.
	// Defaults to 60 seconds.
	StallTimeout time.Duration

	// Version is the version that the OpenAPI description and the metrics name;
	// NewHandler and NewProbes only.
	// Defaults to "0.0.0".
	Version string

	// Hosts are the names that a request may be for, besides loopback addresses;
	// NewHandler only. A server on a loopback address needs them where it asks
	// nobody who they are: a page of another site can let a name of its own point
	// to that address (DNS rebinding), but can't make a browser send another name
	// than this one. Defaults to any.
	Hosts []string

	// Collectors are further metrics for /metrics, such as those of the process's
	// workers; NewHandler and NewProbes only. Their labels must have no ids.
	Collectors []prometheus.Collector

	// Handlers are further handlers by the pattern of http.ServeMux, such as
	// "/riverui/", behind the same request ids, access log and recovery; NewHandler
	// only. They are for callers who may see all tenants: with the scope read they
	// get what changes nothing (GET and HEAD), and with admin the rest. A request
	// that changes something is refused when a page of another site made it.
	Handlers map[string]http.Handler
}

func (o *Options) withDefaults(logger *slog.Logger) Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Logger == nil {
		out.Logger = logger
	}
	if out.AuthorizeHandlers == nil {
		out.AuthorizeHandlers = out.Authorize
	}
	out.RateLimit = out.RateLimit.withDefaults()
	out.Streams = out.Streams.withDefaults()
	out.Timeout = cmp.Or(out.Timeout, 10*time.Second)
	out.StallTimeout = cmp.Or(out.StallTimeout, time.Minute)
	out.Version = cmp.Or(out.Version, "0.0.0")
	return out
}
