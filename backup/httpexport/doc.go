// Package httpexport is the backup.Provider that reads an HTTP export API: one
// GET per export, whose response body is the export.
//
//	provider, err := httpexport.New(&httpexport.Config{
//		URL:         "https://api.example.com/export/{userId}/{siteId}",
//		ContentType: []string{"application/x-tar"},
//		Authorize: func(ctx context.Context, r *http.Request, req *backup.ExportRequest) error {
//			r.Header.Set("Authorization", "Bearer "+tokenOf(req.UserID))
//			return nil
//		},
//	})
//
// # What the export API has to do
//
// Answer 200 with the export, and let its end be provable. Any of these does:
//
//   - a Content-Length
//   - chunked coding of HTTP/1.1, or HTTP/2: their framing has an end mark
//   - a digest (RFC 9530): Content-Digest or Repr-Digest, sha-256 or sha-512, in
//     the header or, announced by Trailer, behind the body. Where the source
//     only sends digests to those who ask, set Want-Repr-Digest in Config.Header.
//
// A body that ends with its connection and has none of these proves nothing: the
// engine fails it unless the provider is declared AllowUnproven.
//
// So that an attempt can go on where the last one broke off, answer with a
// strong ETag and honor Range and If-Range (RFC 9110 §13.1.5, §14). A
// Last-Modified does instead of an ETag if the response's Date is at least one
// second later (§8.8.2.2). A weak ETag proves too little.
//
// # How an export goes on
//
// With an offset and a validator the request says Range: bytes=N- and If-Range.
//
//   - 206 goes on if it starts at N, with the same validator.
//   - 200 means that the export has changed, or that the source knows no ranges:
//     it starts over. One with the Content-Range of a part is no such answer.
//   - 416 that gives N as the whole length means that nothing was missing but the
//     end: an empty body follows.
//   - A 200, 206 or 416 that fits in none of these ways, or a 204, is never joined to
//     what is stored. The export is asked for once more, without a range, and starts over.
//
// A 206 that stops before the end of the export (RFC 9110 §15.3.7 lets a source
// do so) ends with io.ErrUnexpectedEOF, so that the next attempt goes on behind
// it. So does one that doesn't give the whole length: the next attempt asks for
// what follows its end, and a 416 with the length there proves it.
// Where the digest of such a part doesn't match, or more bytes come than a part has by
// its Content-Range, the error is backup.ErrRefuted, and the next attempt asks for the
// whole. A sha-256 of the whole export in the header of the first answer is compared at
// the end of an attempt that goes on, too.
//
// A 206 or 416 need not repeat the Content-Type: Export.ContentType is then the
// declared one, if exactly one is declared, or else empty, and the one of the
// first attempt stands.
//
// # Exports in pages
//
// With Config.Pages an export is a row of pages, each of which names the next one:
// in a Link with rel="next", or by an opaque mark in a header. Each page has to
// prove its own end before the next one is asked for, and an attempt goes on behind
// the last page that was stored whole. Nothing but the source's word says that the
// last page is the last.
//
// # Which errors are worth another try
//
// Permanent, since the same request would get the same answer: a status of 4xx
// but 408, 409, 421, 423, 425 and 429; any 2xx or 3xx that no export comes with;
// 301 and 308 to where we don't go; another content type than the declared one;
// a content coding; ids that make no URL.
//
// Retryable, since it may pass: everything of the network; 5xx; 202; the 4xx
// above; 302, 303 and 307 to where we don't go, and a 200 with an HTML page:
// that's how a site in maintenance, or an expired login, answers. The number of
// attempts bounds these, too. A 429 or 503 uses no attempt up: the source has no
// time. A Retry-After of 202, 429 and 503 is heeded, within 1 second and 24 hours.
//
// Errors are stored and shown. Their texts have the URL without its query, the
// status and the content type, and nothing else of a response: neither its body nor
// a header's value. They match causes with errors.Is, but never io.EOF.
//
// # What is on the wire
//
// Content codings hide the length and the digest of what they code, so identity
// is asked for, and what comes coded all the same is refused, or, with
// Config.AllowEncoded, stored as it came. Nothing is ever decoded.
//
// No timeout cuts a body: an export may take hours. The engine ends a stalled
// one by canceling the context. On HTTP/2 a source may send up to 1 MiB ahead of
// what is read.
//
// A connection of HTTP/1 is used for one request. A source that sends more than
// it announces would otherwise have the surplus taken for its next answer, which
// may be to a request for another user's export. The surplus itself is no part of
// the response (RFC 9112 §6.3) and goes unseen, unless a digest tells; over HTTP/2
// it is an error.
package httpexport
