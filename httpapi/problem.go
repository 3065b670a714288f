package httpapi

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Problem is the body of every answer that isn't a success: a problem document
// as RFC 9457 has it, with the extension members code, errors, backupId, scheduleId
// and requestId.
type Problem struct { //nolint:errname // RFC 9457 calls it so
	Title      string       `json:"title" doc:"The meaning of the HTTP status." example:"Unprocessable Entity"`
	Status     int          `json:"status" doc:"The HTTP status." example:"422"`
	Detail     string       `json:"detail,omitempty" doc:"What went wrong this time, for people." example:"The request has fields that break a rule."`
	Code       Code         `json:"code" example:"validation_failed"`
	Errors     []FieldError `json:"errors,omitempty" doc:"The fields that broke a rule."`
	BackupID   string       `json:"backupId,omitempty" format:"uuid" doc:"The backup that is in the way." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	ScheduleID string       `json:"scheduleId,omitempty" format:"uuid" doc:"The schedule that is in the way." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	RequestID  string       `json:"requestId,omitempty" doc:"The id of the request. It is also in the header X-Request-Id and in the server's log." example:"VXJQ4ZK2M7T3A5B6C7D8E9F0GH"`

	retryAfter time.Duration // rounded up to whole seconds
	challenge  string        // of WWW-Authenticate
}

// FieldError names a field of the request and the rule that it broke.
type FieldError struct {
	Location string `json:"location" doc:"The field, such as body.userId." example:"body.userId"`
	Message  string `json:"message" doc:"The rule that the field broke." example:"must not be empty"`
}

func newProblem(code Code, detail string) *Problem {
	status := code.info().Status
	return &Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

func validationProblem(fields ...FieldError) *Problem {
	p := newProblem(CodeValidationFailed, "The request has fields that break a rule.")
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
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds()))))
	}
	if p.challenge != "" {
		h.Set("WWW-Authenticate", p.challenge)
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

// writeTo answers with the problem within huma, before the operation.
func (p *Problem) writeTo(ctx huma.Context) {
	p.RequestID = RequestID(ctx.Context())
	for name, values := range p.GetHeaders() {
		for _, value := range values {
			ctx.SetHeader(name, value)
		}
	}
	ctx.SetHeader("Content-Type", problemContentType)
	ctx.SetStatus(p.Status)
	_ = json.NewEncoder(ctx.BodyWriter()).Encode(p) // the client has gone if it fails
}
