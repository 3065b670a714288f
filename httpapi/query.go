package httpapi

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sitebackup/sitebackup/backup"
)

// query is a request's query whose parameters are being read. This isn't huma's
// work: its answers to a bad one depend on the host's global settings.
type query struct {
	values url.Values
	bad    []FieldError
}

func readQuery(ctx huma.Context) *query {
	u := ctx.URL()
	values, err := url.ParseQuery(u.RawQuery)
	q := &query{values: values}
	if err != nil {
		q.bad = []FieldError{{"query", "must be percent-encoded"}}
	}
	return q
}

func (q *query) fail(name, rule string) { q.bad = append(q.bad, FieldError{"query." + name, rule}) }

// one is a parameter that may be given once, or "". One that is given and empty is
// refused: a filter that is lost on the way must not show more.
func (q *query) one(name string) string {
	values, ok := q.values[name]
	switch {
	case !ok:
		return ""
	case len(values) > 1:
		q.fail(name, "must be given once")
	case values[0] == "":
		q.fail(name, "must not be empty")
	}
	return values[0]
}

// many are the values of a parameter that may be given more than once, or with
// commas between.
func (q *query) many(name string) []string {
	var all []string
	for _, value := range q.values[name] {
		all = append(all, strings.Split(value, ",")...)
	}
	return all
}

func (q *query) time(name string) time.Time {
	value := q.one(name)
	if value == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil || t.IsZero() {
		q.fail(name, "must be a time such as 2026-01-02T03:04:05Z")
	}
	return t
}

// number is 0 where the parameter isn't there.
func (q *query) number(name string, least, most int) int {
	value := q.one(name)
	if value == "" {
		return 0
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		q.fail(name, "must be between "+strconv.Itoa(least)+" and "+strconv.Itoa(most))
	}
	return n
}

func (q *query) flag(name string) bool {
	value := q.one(name)
	if value != "" && value != "true" && value != "false" {
		q.fail(name, "must be true or false")
	}
	return value == "true"
}

func (q *query) cursor(name string) *backup.Cursor {
	value := q.one(name)
	if value == "" {
		return nil
	}
	c, err := backup.ParseCursor(value)
	if err != nil {
		q.fail(name, "must be a cursor that this list has given")
	}
	return c
}

func (q *query) err() error {
	if len(q.bad) > 0 {
		return validationProblem(q.bad...)
	}
	return nil
}

// inPath says of a bad value that it is in the path.
func inPath(err error) error {
	var field *backup.FieldError
	if errors.As(err, &field) {
		return validationProblem(FieldError{"path." + field.Field, field.Rule})
	}
	return err
}

// inQuery says of a bad value that it is in the query.
func inQuery(err error) error {
	var field *backup.FieldError
	if errors.As(err, &field) {
		name := field.Field
		if name == "after" { // as Go has it
			name = "cursor"
		}
		return validationProblem(FieldError{"query." + name, field.Rule})
	}
	return err
}
