package export

import (
	"cmp"
	"net/http"
)

// Options say what an export API serves.
type Options struct {
	// Name tells two APIs apart: "site", "db". The content depends on it.
	Name string

	// Size is the length of each export in bytes.
	Size int64

	// Seed and Version are what the content depends on besides Name and the
	// ids. Version is there to change content under a reader.
	Seed    uint64
	Version uint64

	// ContentType of the export. Defaults to application/x-tar for the name
	// "site", application/sql for "db", application/octet-stream for others.
	ContentType string

	// Token that requests must carry as "Authorization: Bearer <token>".
	// Empty: none is asked for.
	Token string

	// Fault is what is wrong with each response.
	Fault Fault

	// Behavior, if set, is asked for the fault of each request instead of Fault. n
	// counts the requests for that user and site, from 1. It is called by
	// several goroutines at once.
	Behavior func(r *http.Request, n int) Fault
}

var contentTypes = map[string]string{"site": "application/x-tar", "db": "application/sql"}

func (o Options) contentType() string {
	return cmp.Or(o.ContentType, contentTypes[o.Name], "application/octet-stream")
}
