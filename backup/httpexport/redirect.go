package httpexport

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sitebackup/sitebackup/backup"
)

// maxRedirects is how many redirects are followed for one export.
const maxRedirects = 5

var redirects = []int{
	http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
	http.StatusTemporaryRedirect, http.StatusPermanentRedirect,
}

// do makes the request and follows redirects. http.Client isn't used for it: it
// sends a host's own headers on to others, and the URL as Referer.
func (p *Provider) do(c *call) (*http.Response, error) {
	u := c.start
	for hops := 0; ; hops++ {
		resp, err := p.roundTrip(c, u)
		if err != nil || !slices.Contains(redirects, resp.StatusCode) {
			return resp, err
		}
		_ = resp.Body.Close() // unread: nothing is lost but the connection
		if hops == maxRedirects {
			return nil, redirectError(resp, errors.New("too many redirects"))
		}
		next, err := p.target(c, u, resp.Header.Get("Location"))
		if err != nil {
			return nil, redirectError(resp, err)
		}
		u = next
	}
}

// target returns where a redirect from u leads, if it may lead there.
func (p *Provider) target(c *call, from *url.URL, location string) (*url.URL, error) {
	if location == "" {
		return nil, errors.New("no Location")
	}
	to, err := from.Parse(location)
	if err != nil {
		return nil, errors.New("invalid Location")
	}
	name := printable(to.Scheme+"://"+to.Host, 200)
	switch {
	case to.Scheme != "http" && to.Scheme != "https" || to.Hostname() == "":
		return nil, errors.New("the Location is no http or https URL")
	case to.User != nil:
		return nil, errors.New("the Location has a user name")
	case from.Scheme == "https" && to.Scheme == "http":
		return nil, fmt.Errorf("it leads from https to http, to %s", name)
	case origin(to) == origin(c.start) || p.mayRedirect(to):
		return to, nil
	}
	return nil, fmt.Errorf("it leads to %s, which is not allowed", name)
}

func (p *Provider) mayRedirect(to *url.URL) bool {
	return slices.ContainsFunc(p.config.AllowedRedirectHosts, func(host string) bool {
		return origin(&url.URL{Scheme: to.Scheme, Host: host}) == origin(to)
	})
}

// origin returns the scheme, host and port of u in one form for comparing.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// redirectError is permanent after a redirect that says it is.
func redirectError(resp *http.Response, err error) error {
	code := resp.StatusCode
	err = fmt.Errorf("%s: %d %s: %w", describe(resp.Request), code, http.StatusText(code), err)
	const hint = "Check the provider's URL, or add the host to AllowedRedirectHosts. An expired login may redirect, too."
	if code == http.StatusMovedPermanently || code == http.StatusPermanentRedirect {
		return backup.Permanent(err, hint)
	}
	return backup.Retryable(err, hint)
}
