package httpapi

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

const (
	jsonContentType = "application/json"
	maxBody         = 64 << 10
	bodyTimeout     = 10 * time.Second
)

// bodyFailures is what an operation with a body may answer.
var bodyFailures = []Code{CodeInvalidRequest, CodeTimeout, CodeBodyTooLarge, CodeUnsupportedMediaType, CodeValidationFailed}

// readOptionalJSON is readJSON where there may be no body at all: an empty object
// then, also where the header says what it would have been.
func readOptionalJSON(ctx huma.Context) ([]byte, error) {
	data, err := readBody(ctx)
	if err == nil && len(data) == 0 {
		return []byte("{}"), nil
	}
	if err == nil && !isJSON(ctx.Header("Content-Type")) {
		err = mediaTypeProblem()
	}
	if err != nil {
		return nil, err
	}
	return data, checkJSON(data)
}

func mediaTypeProblem() *Problem {
	return newProblem(CodeUnsupportedMediaType, "The Content-Type of the request must be application/json.")
}

// readJSON reads the body of a request that says it is JSON. One that doesn't
// say what it is, is refused too: a page of another site can send such a request
// from a browser without asking first.
func readJSON(ctx huma.Context) ([]byte, error) {
	if !isJSON(ctx.Header("Content-Type")) {
		return nil, mediaTypeProblem()
	}
	data, err := readBody(ctx)
	if err != nil {
		return nil, err
	}
	return data, checkJSON(data)
}

// checkJSON refuses what encoding/json passes over.
func checkJSON(data []byte) error {
	switch {
	case len(data) == 0:
		return newProblem(CodeInvalidRequest, "The request has no body.")
	case !utf8.Valid(data):
		// encoding/json would replace what isn't, and make another id of it.
		return newProblem(CodeInvalidRequest, "The body is not valid UTF-8.")
	case hasLoneSurrogate(data):
		return newProblem(CodeInvalidRequest, `The body has an escape such as \ud800 that is half of a character.`)
	}
	if member, twice := repeated(data); twice {
		return newProblem(CodeInvalidRequest, fmt.Sprintf("The body has the member %.100q more than once.", member))
	}
	return nil
}

func isJSON(contentType string) bool {
	media, params, err := mime.ParseMediaType(contentType)
	charset := params["charset"]
	return err == nil && media == jsonContentType && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

func readBody(ctx huma.Context) ([]byte, error) {
	body := ctx.BodyReader()
	if body == nil {
		return nil, nil
	}
	// Not every server has deadlines; those that have none have their own bounds.
	_ = ctx.SetReadDeadline(now().Add(bodyTimeout))
	data, err := io.ReadAll(io.LimitReader(body, maxBody+1)) //nolint:forbidigo // bounded
	var tooLarge *http.MaxBytesError
	switch {
	case len(data) > maxBody, errors.As(err, &tooLarge):
		return nil, newProblem(CodeBodyTooLarge, fmt.Sprintf("The body must have at most %d bytes.", maxBody))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, newProblem(CodeTimeout, "The body did not arrive in time.")
	case err != nil:
		return nil, newProblem(CodeInvalidRequest, "The body could not be read to its end.")
	}
	// Left in place it would end the request's context while we work on it. Where
	// the body isn't read to its end it stays: the server reads the rest.
	_ = ctx.SetReadDeadline(time.Time{})
	return data, nil
}
