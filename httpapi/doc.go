// Package httpapi serves backups over HTTP. It is thin: package backup decides what a
// request means, and package jobs, which this package doesn't know, does the work.
//
//	POST   /backup                 requests a backup: 202, Location, and the backup
//	GET    /backup                 lists backups, the newest first
//	GET    /backup/{id}            shows one; with ?wait= as soon as it has changed
//	GET    /backup/{id}/events     sends its events, as they happen
//	POST   /backup/{id}/cancel     cancels it and its exports
//	POST   /backup/{id}/retry      runs it again where it failed or was canceled
//	DELETE /backup/{id}            deletes it
//	POST   /backup/{id}/verify     compares its stored copy with the manifest
//	POST   /backup/{id}/hold       puts a legal hold on it
//	POST   /backup/{id}/release    removes the hold
//	GET    /backup/{id}/manifest   returns the manifest, which proves the copy
//	GET    /backup/{id}/tasks/{provider}/content
//	                               downloads a stored export
//	GET    /provider               lists the providers
//
//	POST   /schedule               creates a schedule: 201, Location, and the schedule
//	GET    /schedule               lists schedules
//	GET    /schedule/{id}          shows one
//	PUT    /schedule/{id}          replaces its settings
//	DELETE /schedule/{id}          deletes it; its backups are kept
//	POST   /schedule/{id}/pause    pauses it: its slots are skipped
//	POST   /schedule/{id}/resume   resumes it
//	POST   /schedule/{id}/run      starts a backup now: 202, and the backup
//	GET    /schedule/{id}/next     lists its next slots
//	GET    /schedule/{id}/slot     lists what became of its past slots
//
//	GET    /retention/plan         shows which backups would be removed, and why
//	DELETE /user/{userId}/backup   erases everything of a user: 202, and the erasure
//	DELETE /user/{userId}/site/{siteId}/backup
//	                               erases everything of a site
//	GET    /erasure/{id}           shows the progress of an erasure, and is its receipt
//
// [Register] adds these operations to a huma API of the host program. [NewHandler]
// makes a complete handler: the operations and everything around them, such as the OpenAPI
// description, probes, metrics, request ids, the access log, and the answers to requests
// that match no operation.
//
// # Who may do what
//
// If [Options.Authorize] is set, each operation authenticates the caller before it reads
// the request, and requires a scope: read, write or admin. [Tokens] authenticates callers
// by bearer tokens (RFC 6750), which [Token] describes. Without a known credential the
// answer is 401; without the scope it is 403.
//
// A caller may be limited to tenants by patterns of users and sites. To that caller, what
// belongs to others doesn't exist: the answer is 404, as for an unknown id. A request for
// a backup of a user or site that the caller has no access to is refused with 403 before
// anything is looked up: it says what the credential lacks, and nothing about whether
// there is such a user.
//
// Each caller has a rate limit ([RateLimit]), counted by its name, and so has each
// address that sends no valid credential. Beyond it the answer is 429, with a Retry-After
// in whole seconds.
//
// The OpenAPI description, its page and the probes are open to everybody.
//
// # Asking once
//
// A client that didn't receive the answer to its POST /backup sends the request again with
// the same Idempotency-Key (draft-ietf-httpapi-idempotency-key-header). A key belongs to
// one caller and is kept for [backup.Config.KeyLifetime], a day by default. The same body
// then gets the same answer: 202, and the same backup in its current state. A different
// body is answered 422. Of concurrent requests with the same key, one starts a backup; the
// others wait for it and get its answer. The member ifActive is for callers that don't
// know of each other.
//
// # Lists
//
// GET /backup returns at most limit backups and, if there may be more, a cursor for the
// next page, both as nextCursor and in a Link header. A cursor is a position: backups that
// are started in the meantime come before it, so nothing is skipped or listed twice. The
// lists of schedules and of their slots are paginated in the same way.
//
// # Schedules
//
// A schedule starts backups of a user's site at the times that a cron expression names:
// its slots. [Schedule] describes its settings, and package backup how it works. /next
// lists the slots to come, and /slot what became of the past ones: each was started as a
// backup, is waiting, or was skipped for a reason.
//
// Every response with a single schedule has an ETag. A PUT or DELETE that sends it as
// If-Match is answered 412 if the schedule was changed in between, so that of two clients
// that start from the same response only one wins. Advancing to the next slot doesn't
// count as a change. A PUT replaces all settings: those that it leaves out get their
// defaults. A schedule declared in the server's configuration file can be paused and run
// here, but otherwise changed only in the file: 409.
//
// # Downloads
//
// An export is streamed from the store in bounded memory; HEAD and, of a GET, ranges are
// supported.
// Its ETag is its SHA-256, with which a client can resume an interrupted download (Range
// and If-Range), and its Repr-Digest (RFC 9530) carries the digest of the whole for the
// client to check. A download that fails on the server's side breaks the connection, so
// that it never looks complete. A reader that takes nothing for [Options.StallTimeout] is
// dropped. The content of an export can be anything: browsers are told to save it and not
// to run it.
//
// # Metrics
//
// /metrics has, in Prometheus's text format, the duration of requests by operation and
// status, backups and tasks by state, the age of the oldest open backup, the bytes stored,
// River's jobs by queue and state, the freshness of schedules, the release, the resources
// that the process uses, and what [Options.Collectors] add: those of workers, say. If callers are
// authenticated, it requires a bearer token with the scope read for all tenants. Backups
// are counted at most every 15 seconds, whoever asks, and less often if counting is slow.
// All servers on one database report the same counts: take their maximum, not their sum.
//
// # Probes
//
// /healthz answers 200 as long as the process serves requests. /readyz answers 200 if the
// database, its migrations and, where this server has one, the store can be used, and 503
// otherwise: what it has found stands for a second, and what it has found of the store for
// ten. /freshness is for a dead-man's switch: it answers 200 while every schedule is
// being ticked and no schedule's newest good backup is older than its maxAge, and 503
// otherwise. /freshness?only=scheduler leaves the second out, so that one backup that has
// been too old for long doesn't hide that nobody starts any. To a caller with the scope read
// for all tenants /freshness also gives the counts. With either status the two answer with a
// JSON object of their own, not with a problem document: its member status is "ready" or
// "unavailable" for /readyz, whose member checks says "ok" or "failed" of each check, and
// "ok" or "not ok" for /freshness.
//
// A process that makes backups and serves no API has [NewProbes]: /healthz, /readyz, and a
// /metrics of the process alone.
//
// # Errors
//
// Every error is answered with a problem document (RFC 9457), application/problem+json.
// Each resource has one media type: whatever Accept asks for, that one is sent, as RFC 9110
// §12.5.1 allows, and no request is refused for its Accept.
// Programs should rely on its member code, which is stable; the texts aren't. Each code
// comes with one status:
//
//   - invalid_request (400): The body can't be read as JSON.
//   - redirect_unsupported (400): This server's store can't sign URLs: ask without redirect.
//   - unauthenticated (401): The request has no credential, or none that this server knows.
//   - forbidden (403): The credential is known, and lacks the scope or the tenants for this.
//   - cross_origin (403): A page of another site made a request that would change something.
//   - not_found (404): There is no such thing, or the credential may not see it.
//   - method_not_allowed (405): The path doesn't take this method; the header Allow has those that it takes.
//   - request_timeout (408): The body didn't arrive in time.
//   - state_conflict (409): The backup isn't in a state that allows this.
//   - held (409): A legal hold keeps the backup from being deleted.
//   - backup_active (409): The user's site has a backup that hasn't ended; the member backupId names it.
//   - schedule_exists (409): The user's site has a schedule of this name; the member scheduleId names it.
//   - schedule_declared (409): The schedule stands in the server's configuration file, and is changed and deleted there.
//   - erasing (409): All that is the user's or site's is being erased; nothing new begins until that is done.
//   - precondition_failed (412): What is stored isn't what the request's conditions name.
//   - body_too_large (413): The body has more bytes than this server reads.
//   - unsupported_media_type (415): The request doesn't say that its body is application/json.
//   - range_not_satisfiable (416): The object has none of the bytes in the range; the header Content-Range has its size.
//   - wrong_host (421): This server doesn't answer for the host that the request is for.
//   - validation_failed (422): A field breaks a rule; the member errors names each one.
//   - idempotency_key_reused (422): The Idempotency-Key was used with another body before.
//   - rate_limited (429): The credential, or the address without one, has asked too often, or the credential has as many event streams open as it may have; the header Retry-After says when to try again.
//   - internal (500): Something went wrong on the server; its log has more under the request id.
//   - object_damaged (500): The object in the store isn't there, or isn't as long as it was when it was stored.
//   - no_store (501): This server has no access to the store.
//   - unavailable (503): The database or the store can't be reached, or is too slow; the header Retry-After says when to try again.
//   - overloaded (503): The server has as many event streams open as it serves, or is stopping; the header Retry-After says when to try again.
//
// # Following a backup
//
// GET /backup/{id} has an ETag and, until the backup has ended, a Retry-After. A client
// that sends the tag as If-None-Match gets 304 while nothing has changed; with ?wait=30s
// the answer comes as soon as something has, or after that time.
//
// GET /backup/{id}/events is a stream of server-sent events whose ids count from 1. They
// are read from the table to which each change writes them, so a client that sends the
// last id it received (Last-Event-ID) continues after it, on any server. The stream ends
// with the message "end" once the backup has ended. If it ends without that message, the
// server is stopping or the client was too slow, and the client should reconnect. A retry
// reopens a backup, and further events follow the last one.
//
// Events are delivered by [Options.Watcher]. When it stops, because the server does, the
// streams and long polls end.
//
// # Request bodies
//
// A body must be declared as application/json and have at most 64 KiB. Unknown members are
// refused by name, since one may be a misspelling of a member that matters; names are case
// sensitive. Unknown query parameters are ignored.
package httpapi
