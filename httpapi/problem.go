package httpapi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Code says what went wrong, for programs. Codes don't change.
type Code string

// The codes of this API.
const (
	CodeInvalidRequest       Code = "invalid_request"        // 400: the body can't be read as JSON
	CodeNotFound             Code = "not_found"              // 404: no such backup, or no such path
	CodeMethodNotAllowed     Code = "method_not_allowed"     // 405
	CodeTimeout              Code = "request_timeout"        // 408: the body didn't arrive in time
	CodeBodyTooLarge         Code = "body_too_large"         // 413
	CodeUnsupportedMediaType Code = "unsupported_media_type" // 415
	CodeWrongHost            Code = "wrong_host"             // 421: this server doesn't answer to that name
	CodeValidationFailed     Code = "validation_failed"      // 422: Errors name the fields
	CodeInternal             Code = "internal"               // 500: the log has more under the request id
	CodeUnavailable          Code = "unavailable"            // 503: try again after Retry-After
)

// Problem is the body of every answer that isn't a success: a problem document
// as RFC 9457 has it, with the extension members code, errors and requestId.
type Problem struct { //nolint:errname // RFC 9457 calls it so
	Title     string       `json:"title" doc:"The meaning of the status." example:"Unprocessable Entity"`
	Status    int          `json:"status" doc:"The HTTP status." example:"422"`
	Detail    string       `json:"detail,omitempty" doc:"What went wrong this time, for people." example:"The request has fields that break a rule."`
	Code      Code         `json:"code" doc:"What went wrong, for programs. Codes don't change." enum:"invalid_request,not_found,method_not_allowed,request_timeout,body_too_large,unsupported_media_type,wrong_host,validation_failed,internal,unavailable" example:"validation_failed"`
	Errors    []FieldError `json:"errors,omitempty" doc:"The fields that broke a rule."`
	RequestID string       `json:"requestId,omitempty" doc:"The request's id: the X-Request-Id of the answer, and of the server's log." example:"VXJQ4ZK2M7T3A5B6C7D8E9F0GH"`

	retryAfter time.Duration
}

// FieldError names a field of the request and the rule that it broke.
type FieldError struct {
	Location string `json:"location" doc:"The field." example:"body.userId"`
	Message  string `json:"message" doc:"The rule that it broke." example:"must not be empty"`
}

func newProblem(status int, code Code, detail string) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

func validationProblem(fields ...FieldError) *Problem {
	p := newProblem(http.StatusUnprocessableEntity, CodeValidationFailed, "The request has fields that break a rule.")
	p.Errors = fields
	return p
}

// Error is the problem's detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status that huma answers with.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders are the headers that huma adds to the answer.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{"Cache-Control": {"no-store"}}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(p.retryAfter.Seconds())))
	}
	return h
}

const problemContentType = "application/problem+json"

// ContentType makes huma name the media type of problem documents.
func (p *Problem) ContentType(string) string { return problemContentType }

// write answers with the problem outside of huma.
func (p *Problem) write(w http.ResponseWriter, r *http.Request) {
	p.RequestID = RequestID(r.Context())
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", problemContentType)
	w.Header().Del("Content-Length")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client has gone if it fails
}
