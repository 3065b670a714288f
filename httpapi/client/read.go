package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxAnswer bounds what Read reads: a list of 200 backups has far less.
const maxAnswer = 64 << 20

// Error is an answer that isn't a success. Its Problem says more; where what
// answered isn't this API it has no Code.
type Error struct {
	Problem
	Header http.Header
}

// Error is the status, the detail, and each field that broke a rule.
func (e *Error) Error() string {
	text := fmt.Sprintf("%d %s", e.Status, http.StatusText(int(e.Status)))
	if e.Detail != nil {
		text += ": " + *e.Detail
	}
	if len(e.Errors) > 0 {
		for _, f := range e.Errors {
			text += " " + f.Location + " " + f.Message + "."
		}
	}
	return text
}

// Read takes what a method of Client returns and reads the answer: a T, or an
// error, which is an *Error if the server answered.
//
//	b, err := client.Read[client.Backup](c.GetBackup(ctx, id, nil))
func Read[T any](res *http.Response, err error) (*T, error) {
	body, err := Open(res, err)
	if err != nil {
		return nil, err
	}
	v := new(T)
	err = json.NewDecoder(io.LimitReader(body.Body, maxAnswer)).Decode(v)
	if err = errors.Join(err, body.Body.Close()); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	return v, nil
}

// Open is Read for an answer whose body the caller reads, and closes.
func Open(res *http.Response, err error) (*http.Response, error) {
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= http.StatusOK && res.StatusCode < http.StatusMultipleChoices {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	e := &Error{Header: res.Header}
	_ = json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&e.Problem) // the status says enough if it is none
	e.Status = int64(res.StatusCode)
	return nil, e
}
