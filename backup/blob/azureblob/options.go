package azureblob

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
)

// Options are the optional settings of a Store.
type Options struct {
	// StageTimeout is how long staging a part may take, with all retries, besides
	// the time its bytes take at 128 KiB/s; and how long committing may take, or
	// listing parts. Defaults to 5 minutes.
	StageTimeout time.Duration

	// OpTimeout is how long any other call may take, with all retries, and how
	// long Open waits for the first byte and each Read of its body for more.
	// Defaults to 60 seconds.
	OpTimeout time.Duration

	// MaxRetries is how often a request is sent again after a network error, a
	// timeout, 408, 429 or 5xx; negative is never. Defaults to 6. After a 429 or
	// 503, what it comes to at last is a blob.ThrottledError.
	MaxRetries int

	// RetryDelay is the first pause before that. It grows exponentially, up to
	// MaxRetryDelay. Azure's own Retry-After takes its place; if that is longer
	// than MaxRetryDelay the request is not sent again. They default to 1 and 30
	// seconds.
	RetryDelay, MaxRetryDelay time.Duration

	// Service lets SignURL work with a client that was made with a token credential:
	// it is one of the same account and credential, and asks for user delegation keys,
	// each for a day. Defaults to none.
	Service *service.Client
}

const (
	defaultStageTimeout  = 5 * time.Minute
	defaultOpTimeout     = 60 * time.Second
	defaultMaxRetries    = 6
	defaultRetryDelay    = time.Second
	defaultMaxRetryDelay = 30 * time.Second

	// slowest is the rate in bytes per second at which a part may be sent. A
	// request that is slower is taken for dead.
	slowest = 128 << 10

	// tryTimeout bounds one request, besides the time for its bytes.
	tryTimeout = 30 * time.Second

	maxIdlePerHost = 64 // as many as one upload may stage parts at once
)

func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	setDefault(&c.StageTimeout, defaultStageTimeout)
	setDefault(&c.OpTimeout, defaultOpTimeout)
	setDefault(&c.RetryDelay, defaultRetryDelay)
	setDefault(&c.MaxRetryDelay, defaultMaxRetryDelay)
	if c.MaxRetries == 0 {
		c.MaxRetries = defaultMaxRetries
	}
	return c
}

func setDefault(d *time.Duration, otherwise time.Duration) {
	if *d <= 0 {
		*d = otherwise
	}
}

// retries are the retry options of a call that may take whole and whose requests
// may each take try; 0 is any time.
func (o *Options) retries(ctx context.Context, whole, try time.Duration) context.Context {
	p := &patience{opts: o, deadline: systemTime().Add(whole)}
	return policy.WithRetryOptions(ctx, policy.RetryOptions{
		MaxRetries:    int32(max(-1, min(o.MaxRetries, 1000))),
		TryTimeout:    try,
		RetryDelay:    o.RetryDelay,
		MaxRetryDelay: o.MaxRetryDelay,
		ShouldRetry:   p.again,
	})
}

// forPart bounds staging size bytes.
func (o *Options) forPart(ctx context.Context, size int64) (context.Context, context.CancelFunc) {
	transfer := time.Duration(size) * time.Second / slowest
	ctx, cancel := context.WithTimeout(ctx, o.StageTimeout+transfer)
	return o.retries(ctx, o.StageTimeout+transfer, tryTimeout+transfer), cancel
}

// forCommit bounds a call that carries a long list of parts.
func (o *Options) forCommit(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, o.StageTimeout)
	return o.retries(ctx, o.StageTimeout, 2*tryTimeout), cancel
}

// forOp bounds any other call.
func (o *Options) forOp(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, o.OpTimeout)
	return o.retries(ctx, o.OpTimeout, tryTimeout), cancel
}

// ClientOptions returns options for a container's client that suit a Store: a
// transport of its own that keeps as many connections open as uploads need, and
// bounds how long it connects and waits for an answer. The SDK's own keeps 10,
// and waits for ever. Like that one it takes the proxy that the environment names:
// set Proxy of its http.Transport to nil for none, or to one of your own.
func ClientOptions() *container.ClientOptions {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		ResponseHeaderTimeout: 60 * time.Second,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   maxIdlePerHost,
		DisableCompression:    true, // a range counts the bytes that are stored
		ForceAttemptHTTP2:     true,
	}
	return &container.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: &http.Client{Transport: transport},
		// For what the caller does with the client; a Store sets its own.
		Retry: policy.RetryOptions{
			MaxRetries:    defaultMaxRetries,
			RetryDelay:    defaultRetryDelay,
			MaxRetryDelay: defaultMaxRetryDelay,
		},
	}}
}
