// Package httpapi shows backups over HTTP. It is thin: what a request means is
// decided in package backup, and who does the work is package jobs, which this
// package doesn't know.
//
//	POST   /backup                 asks for a backup: 202, Location, and the backup
//	GET    /backup                 lists backups, the newest first
//	GET    /backup/{id}            tells how one stands; with ?wait= when that has changed
//	GET    /backup/{id}/events     sends its events, as they happen
//	POST   /backup/{id}/cancel     cancels it and its exports
//	POST   /backup/{id}/retry      runs it again where it failed or was canceled
//	DELETE /backup/{id}            deletes it
//	POST   /backup/{id}/verify     compares its stored copy with the manifest
//	POST   /backup/{id}/hold       puts a legal hold on it
//	POST   /backup/{id}/release    ends that
//	GET    /backup/{id}/manifest   is what proves its copy
//	GET    /backup/{id}/tasks/{provider}/content
//	                               sends an export as it is stored
//	GET    /provider               lists the exports that there are
//
//	POST   /schedule               makes a schedule: 201, Location, and the schedule
//	GET    /schedule               lists schedules
//	GET    /schedule/{id}          shows one
//	PUT    /schedule/{id}          replaces its settings
//	DELETE /schedule/{id}          deletes it; its backups stay
//	POST   /schedule/{id}/pause    has its slots skipped
//	POST   /schedule/{id}/resume   ends that
//	POST   /schedule/{id}/run      starts a backup out of turn: 202, and the backup
//	GET    /schedule/{id}/next     tells its next slots
//	GET    /schedule/{id}/slot     tells what became of its slots
//
//	GET    /retention/plan         tells which backups would be removed, and why
//	DELETE /user/{userId}/backup   erases all that is a user's: 202, and the erasure
//	DELETE /user/{userId}/site/{siteId}/backup
//	                               erases all that is a site's
//	GET    /erasure/{id}           tells how an erasure stands, and is its receipt
//
// [Register] adds these operations to a huma API that a host program has.
// [NewHandler] makes a whole handler of them, with everything around: the
// OpenAPI description, health, request ids, access log, and what answers a
// request that fits nothing.
//
// # Who may do what
//
// Where [Options.Authorize] is set, each operation asks who sent the request
// before it reads it, and needs a scope: read, write or admin. [Tokens] knows
// callers by bearer tokens (RFC 6750), which [Token] describes. Without a
// credential that it knows the answer is 401; without the scope it is 403.
//
// A caller may be limited to tenants by patterns of users and sites. What belongs
// to others is not there for it: the answer is that for an id that doesn't exist,
// 404. Asking for a backup of a user or site that the caller isn't for is refused
// with 403 before anything is looked at: it says what the credential lacks, and
// nothing of whether there is such a user.
//
// Each caller has a rate limit ([RateLimit]), counted by its name, and so has each
// address that sends no valid credential. Beyond it the answer is 429, and its
// header Retry-After says in whole seconds when to try again.
//
// The OpenAPI description, its page and the probes are for everybody.
//
// # Asking once
//
// A client that doesn't learn what became of its POST /backup sends it again with the
// same Idempotency-Key (draft-ietf-httpapi-idempotency-key-header). A key is one
// caller's own and is kept for [backup.Config.KeyLifetime], a day by default. The
// same body is then answered the same: 202, and the same backup, as it stands
// now. Another body is answered 422. Of requests with one key that come at
// the same time one starts a backup, and the others wait for it and get its
// answer. The member ifActive is for callers that don't know of each other.
//
// # Lists
//
// GET /backup answers at most limit backups and, where there may be more, a cursor for
// the next page, both as nextCursor and in a header Link. A cursor is a place: what is
// started meanwhile comes before it, and nothing is skipped or told twice. The lists of
// schedules and of their slots have pages likewise.
//
// # Schedules
//
// A schedule starts backups of a user's site at the times that a cron expression names:
// its slots. [Schedule] has what it does, and package backup tells how. Of its lists,
// /next has the slots to come, and /slot what became of those that were: each was
// started, as a backup, or waits, or was skipped for a reason.
//
// An answer with one schedule has an ETag. PUT and DELETE with it as If-Match are answered
// 412 when the schedule was changed in between: of two that begin with one answer, one
// wins. That it has gone on to its next slot is no such change. A PUT replaces all
// settings: one that it leaves out gets its default. A schedule of the server's
// configuration file can be paused and run, and else is changed there alone: 409.
//
// # Downloads
//
// An export is streamed from the store in bounded memory, and so is answered to
// HEAD and to a range. Its ETag is its SHA-256, with which a client goes on where
// a download broke off (Range and If-Range), and its Repr-Digest (RFC 9530) has
// that of the whole, for the client to check. A download that breaks off on this
// side breaks its connection, so that it never looks whole. A reader that takes
// nothing for [Options.StallTimeout] is left. What was exported may be anything: a
// browser saves it, and is told to run none of it.
//
// # Metrics
//
// /metrics has, in the form of Prometheus, how long requests took by operation and
// status, backups and tasks by state, the bytes stored, River's jobs by queue and
// state, and what the process uses. Where credentials are asked for it wants a
// bearer token with the scope read that is for all tenants. Backups are counted at
// most every 15 seconds, whoever asks, and more rarely where that takes long.
//
// # Errors
//
// Whatever goes wrong is answered by a problem document (RFC 9457) of media type
// application/problem+json. Programs should look at its member code: it is
// stable, and the texts aren't. Each comes with one status:
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
//   - range_not_satisfiable (416): The range begins behind the end; the header Content-Range has the size.
//   - wrong_host (421): This server doesn't answer for the host that the request is for.
//   - validation_failed (422): A field breaks a rule; the member errors names each one.
//   - idempotency_key_reused (422): The Idempotency-Key was used with another body before.
//   - rate_limited (429): The credential, or the address without one, has asked too often; the header Retry-After says when to try again.
//   - internal (500): Something went wrong on the server; its log has more under the request id.
//   - object_damaged (500): The object in the store isn't there, or isn't as long as it was when it was stored.
//   - no_store (501): This server has no access to the store.
//   - unavailable (503): The database or the store can't be reached; the header Retry-After says when to try again.
//   - overloaded (503): The server has as many event streams open as it serves, or is stopping; the header Retry-After says when to try again.
//
// # Following a backup
//
// GET /backup/{id} has an ETag, and a Retry-After as long as the backup is open. A
// client that sends the tag as If-None-Match is answered 304 while nothing has
// changed; with ?wait=30s the answer comes when something has, or after that time.
//
// GET /backup/{id}/events is a stream of server-sent events, whose ids count from
// 1. They come from the table that each change writes them to, so that a client
// which says what it got last (Last-Event-ID) goes on behind it, on any server. The
// stream ends with the message "end" once the backup has ended, and without it
// when the server stops or the client is too slow: then come again. A retry opens
// a backup again, and with it there are further events behind the last one.
//
// Who tells of events is [Options.Watcher]. Its end, when the server stops, ends the
// streams and long polls.
//
// # What a request may hold
//
// A body must say that it is application/json and must have at most 64 KiB. A
// member that isn't known is refused and named, since it may be a misspelt one
// that matters; names are case sensitive. An unknown query parameter is ignored.
package httpapi
