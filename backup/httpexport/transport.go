package httpexport

import (
	"net"
	"net/http"
	"time"
)

// newTransport returns a transport for c. It has no timeout for bodies.
func newTransport(c *Config) *http.Transport {
	return &http.Transport{
		Proxy:                  c.Proxy,
		DialContext:            (&net.Dialer{Timeout: c.ConnectTimeout}).DialContext,
		TLSClientConfig:        c.TLS,
		TLSHandshakeTimeout:    c.TLSTimeout,
		ResponseHeaderTimeout:  c.HeaderTimeout,
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true, // it would take the length from us
		ForceAttemptHTTP2:      true, // which a dialer of our own would turn off
		MaxIdleConnsPerHost:    -1,   // HTTP/1 only; without the Connection: close at which some servers send no chunks
		IdleConnTimeout:        90 * time.Second,
		HTTP2: &http.HTTP2Config{
			// Bounds memory; at a distance of 20 ms it still lets 50 MB/s through.
			MaxReceiveBufferPerStream: 1 << 20,
			// A connection is shared and outlives an attempt. Without pings one
			// that has died would be taken again for each attempt.
			SendPingTimeout: 30 * time.Second,
			PingTimeout:     15 * time.Second,
		},
	}
}
