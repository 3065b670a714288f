package httpapi

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// withHosts refuses requests for another host than these and loopback addresses.
// None of them allows all.
func withHosts(next http.Handler, hosts []string) http.Handler {
	if len(hosts) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := (&url.URL{Host: r.Host}).Hostname()
		named := slices.ContainsFunc(hosts, func(h string) bool { return strings.EqualFold(h, host) })
		// No browser sends a request without a host.
		if ip := net.ParseIP(host); host == "" || named || ip != nil && ip.IsLoopback() {
			next.ServeHTTP(w, r)
			return
		}
		newProblem(CodeWrongHost, fmt.Sprintf("This server doesn't answer for the host %q.", host)).write(w, r)
	})
}
