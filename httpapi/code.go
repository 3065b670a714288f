package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Code says what went wrong, for programs. Codes don't change.
type Code string

// The codes of this API. [Codes] has what each means.
const (
	CodeInvalidRequest       Code = "invalid_request"
	CodeNoRedirect           Code = "redirect_unsupported"
	CodeUnauthenticated      Code = "unauthenticated"
	CodeForbidden            Code = "forbidden"
	CodeCrossOrigin          Code = "cross_origin"
	CodeNotFound             Code = "not_found"
	CodeMethodNotAllowed     Code = "method_not_allowed"
	CodeTimeout              Code = "request_timeout"
	CodeStateConflict        Code = "state_conflict"
	CodeHeld                 Code = "held"
	CodeBackupActive         Code = "backup_active"
	CodeScheduleExists       Code = "schedule_exists"
	CodeScheduleDeclared     Code = "schedule_declared"
	CodeErasing              Code = "erasing"
	CodePrecondition         Code = "precondition_failed"
	CodeBodyTooLarge         Code = "body_too_large"
	CodeUnsupportedMediaType Code = "unsupported_media_type"
	CodeRange                Code = "range_not_satisfiable"
	CodeWrongHost            Code = "wrong_host"
	CodeValidationFailed     Code = "validation_failed"
	CodeKeyReused            Code = "idempotency_key_reused"
	CodeRateLimited          Code = "rate_limited"
	CodeInternal             Code = "internal"
	CodeObjectDamaged        Code = "object_damaged"
	CodeNoStore              Code = "no_store"
	CodeUnavailable          Code = "unavailable"
	CodeOverloaded           Code = "overloaded"
)

// CodeInfo is what a code means.
type CodeInfo struct {
	Code    Code
	Status  int    // the HTTP status that it comes with, always
	Meaning string // one sentence
}

// codes is the one list of them: the package's documentation, the OpenAPI
// description and the answers' statuses come from it.
var codes = []CodeInfo{
	{CodeInvalidRequest, http.StatusBadRequest, "The body can't be read as JSON."},
	{CodeNoRedirect, http.StatusBadRequest, "This server's store can't sign URLs: ask without redirect."},
	{CodeUnauthenticated, http.StatusUnauthorized, "The request has no credential, or none that this server knows."},
	{CodeForbidden, http.StatusForbidden, "The credential is known, and lacks the scope or the tenants for this."},
	{CodeCrossOrigin, http.StatusForbidden, "A page of another site made a request that would change something."},
	{CodeNotFound, http.StatusNotFound, "There is no such thing, or the credential may not see it."},
	{CodeMethodNotAllowed, http.StatusMethodNotAllowed, "The path doesn't take this method; the header Allow has those that it takes."},
	{CodeTimeout, http.StatusRequestTimeout, "The body didn't arrive in time."},
	{CodeStateConflict, http.StatusConflict, "The backup isn't in a state that allows this."},
	{CodeHeld, http.StatusConflict, "A legal hold keeps the backup from being deleted."},
	{CodeBackupActive, http.StatusConflict, "The user's site has a backup that hasn't ended; the member backupId names it."},
	{CodeScheduleExists, http.StatusConflict, "The user's site has a schedule of this name; the member scheduleId names it."},
	{CodeScheduleDeclared, http.StatusConflict, "The schedule stands in the server's configuration file, and is changed and deleted there."},
	{CodeErasing, http.StatusConflict, "All that is the user's or site's is being erased; nothing new begins until that is done."},
	{CodePrecondition, http.StatusPreconditionFailed, "What is stored isn't what the request's conditions name."},
	{CodeBodyTooLarge, http.StatusRequestEntityTooLarge, "The body has more bytes than this server reads."},
	{CodeUnsupportedMediaType, http.StatusUnsupportedMediaType, "The request doesn't say that its body is application/json."},
	{CodeRange, http.StatusRequestedRangeNotSatisfiable, "The object has none of the bytes in the range; the header Content-Range has its size."},
	{CodeWrongHost, http.StatusMisdirectedRequest, "This server doesn't answer for the host that the request is for."},
	{CodeValidationFailed, http.StatusUnprocessableEntity, "A field breaks a rule; the member errors names each one."},
	{CodeKeyReused, http.StatusUnprocessableEntity, "The Idempotency-Key was used with another body before."},
	{CodeRateLimited, http.StatusTooManyRequests, "The credential, or the address without one, has asked too often, or the credential has as many event streams open as it may have; the header Retry-After says when to try again."},
	{CodeInternal, http.StatusInternalServerError, "Something went wrong on the server; its log has more under the request id."},
	{CodeObjectDamaged, http.StatusInternalServerError, "The object in the store isn't there, or isn't as long as it was when it was stored."},
	{CodeNoStore, http.StatusNotImplemented, "This server has no access to the store."},
	{CodeUnavailable, http.StatusServiceUnavailable, "The database or the store can't be reached, or is too slow; the header Retry-After says when to try again."},
	{CodeOverloaded, http.StatusServiceUnavailable, "The server has as many event streams open as it serves, or is stopping; the header Retry-After says when to try again."},
}

// Codes lists all codes, ordered by status.
func Codes() []CodeInfo { return slices.Clone(codes) }

// info is what a code means. A code that isn't in the list is a mistake of ours.
func (c Code) info() CodeInfo {
	i := slices.IndexFunc(codes, func(i CodeInfo) bool { return i.Code == c })
	if i < 0 {
		panic("httpapi: unknown code " + string(c))
	}
	return codes[i]
}

// Schema describes the codes in OpenAPI.
func (Code) Schema(huma.Registry) *huma.Schema {
	var text strings.Builder
	text.WriteString("What went wrong, for programs. Codes don't change.\n")
	meanings := make(map[string]string, len(codes))
	s := &huma.Schema{Type: huma.TypeString, Extensions: map[string]any{"x-enumDescriptions": meanings}}
	for _, i := range codes {
		s.Enum = append(s.Enum, string(i.Code))
		meanings[string(i.Code)] = i.Meaning
		fmt.Fprintf(&text, "\n- `%s` (%d): %s", i.Code, i.Status, i.Meaning)
	}
	s.Description = text.String()
	return s
}
