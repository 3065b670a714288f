// Package httpapi shows backups over HTTP. It is thin: what a request means is
// decided in package backup, and who does the work is package jobs, which this
// package doesn't know.
//
//	POST /backup        asks for a backup: 202, Location, and the backup
//	GET  /backup/{id}   tells how it stands
//
// [Register] adds these operations to a huma API that a host program has.
// [NewHandler] makes a whole handler of them, with everything around: the
// OpenAPI description, health, request ids, access log, and what answers a
// request that fits nothing.
//
// # Errors
//
// Whatever goes wrong is answered by a problem document (RFC 9457) of media type
// application/problem+json. Programs should look at its member code: it is
// stable, and the texts aren't. [Problem] lists the codes.
//
// # What a request may hold
//
// A body must say that it is application/json and must have at most 64 KiB. A
// member that isn't known is refused and named, since it may be a misspelt one
// that matters; names are case sensitive. An unknown query parameter is ignored.
package httpapi
