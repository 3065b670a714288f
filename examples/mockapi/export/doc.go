// Package export is a mock of the two export APIs that the backup service
// reads: one gives a site's content, the other its database. It stands in for
// them in the demo, in examples and in tests, and can be told to go wrong.
//
//	GET /export/{userId}/{siteId}
//
// answers with Options.Size bytes of noise. The bytes are a function of
// Options and the two ids alone, and any of them can be computed without those
// before it: so an export of a terabyte needs no disk, a range costs what its
// bytes cost, and a test can compare what was stored with NewReader or SHA256.
//
// A response that is right has a Content-Length, a strong ETag, and honors
// Range and If-Range (RFC 9110 §14), as a well-made export API does:
//
//	site := export.NewHandler(export.Options{Name: "site", Size: 1 << 30})
//	http.ListenAndServe("127.0.0.1:8081", site)
//
// # Faults
//
// A Fault says how a response goes wrong: slow, cut, stalled, without a length,
// another status, another content. It comes from, in this order:
//
//   - the query: /export/u/s?fault=cut=10MiB,times=2
//   - Options.Behavior, a function of the request and its number, for tests
//   - Options.Fault, for all requests
//
// ParseFault lists the words that the query and the program's flags take.
//
// # What it is not
//
// The bytes aren't a tar archive or SQL, whatever their content type says. The
// token is one for all sites. Nothing here is meant to face a network that
// isn't yours.
package export
