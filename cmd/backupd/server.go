package main

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/remote"
	"github.com/sitebackup/sitebackup/httpapi/client"
)

// serverFlags are those of the commands that ask a server.
type serverFlags struct {
	Server string `env:"BACKUPD_SERVER" default:"http://localhost:3000" placeholder:"URL" help:"URL of the server. Defaults to ${default}."`
	Token  string `env:"BACKUPD_TOKEN" placeholder:"TOKEN" help:"The credential. Prefer the environment variable: other users of this machine can see command lines."`
	Output string `short:"o" enum:"text,json" default:"text" help:"Output format: text or json."`
}

// client asks the server, and shows it the token.
func (c *serverFlags) client() (*client.Client, error) {
	u, err := url.Parse(c.Server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, usage("--server must be a URL such as https://backup.example.com, not %q", c.Server)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() // it is what it says
	transport.ResponseHeaderTimeout = time.Minute
	return client.NewClient(c.Server, client.WithHTTPClient(&http.Client{
		Transport: &remote.Stall{RoundTripper: transport, After: time.Minute},
		// No answer of the API that is asked for here leads elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}), client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("User-Agent", "backupd/"+version())
		if c.Token != "" {
			r.Header.Set("Authorization", "Bearer "+c.Token)
		}
		return nil
	}))
}
