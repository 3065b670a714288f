package httpexport

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// contentRange is a Content-Range field (RFC 9110 §14.4).
type contentRange struct {
	first, last int64 // both -1 for a range that can't be satisfied: bytes */N
	total       int64 // -1 if the source doesn't know
}

var errContentRange = errors.New("invalid Content-Range")

func parseContentRange(s string) (contentRange, error) {
	unit, s, _ := strings.Cut(s, " ")
	span, length, ok := strings.Cut(s, "/")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return contentRange{}, errContentRange
	}
	total, err := parseLength(length)
	if span == "*" {
		if err != nil {
			return contentRange{}, errContentRange
		}
		return contentRange{first: -1, last: -1, total: total}, nil
	}
	if length == "*" {
		total, err = -1, nil
	}
	from, to, _ := strings.Cut(span, "-")
	first, err1 := parseLength(from)
	last, err2 := parseLength(to)
	if errors.Join(err, err1, err2) != nil || first > last || total >= 0 && last >= total {
		return contentRange{}, errContentRange
	}
	return contentRange{first: first, last: last, total: total}, nil
}

// saysPart reports whether a response says of its body that it isn't the whole, as
// sources do that forget the status 206.
func saysPart(resp *http.Response) bool {
	return slices.ContainsFunc(resp.Header.Values("Content-Range"), func(field string) bool {
		r, err := parseContentRange(field)
		return err == nil && r.first >= 0 && (r.first > 0 || r.last+1 != r.total)
	})
}

// parseLength is ParseInt without signs.
func parseLength(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err
}
