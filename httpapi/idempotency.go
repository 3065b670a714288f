package httpapi

import (
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/dunglas/httpsfv"
)

const (
	idempotencyHeader = "Idempotency-Key"
	maxIdempotencyKey = 255 // bytes
)

func idempotencyParam() *huma.Param {
	one, most := 1, maxIdempotencyKey+2
	return &huma.Param{
		Name: idempotencyHeader, In: "header",
		Description: "The caller's own name for this request, such as a UUID, in double quotes or without: 1 to 255 characters of printable ASCII. " +
			"The same key with the same body is answered with the same backup; with another body it is refused. A key is kept for a day, unless the server says otherwise.",
		Schema:  &huma.Schema{Type: huma.TypeString, MinLength: &one, MaxLength: &most},
		Example: `"8e03978e-40d5-43e8-bc93-6894a57f9324"`,
	}
}

// idempotencyKey is that of the request, or "". The draft has a structured string,
// in quotes (RFC 9651 §3.3.3); many clients send it bare, which means the same.
func idempotencyKey(ctx huma.Context) (string, error) {
	values := headerLines(ctx, idempotencyHeader)
	if len(values) == 0 {
		return "", nil
	}
	key := strings.Trim(values[0], " \t")
	if strings.HasPrefix(key, `"`) {
		item, err := httpsfv.UnmarshalItem([]string{key})
		text, ok := item.Value.(string)
		if err != nil || !ok {
			return "", badKey()
		}
		key = text
	}
	if len(values) > 1 || len(key) < 1 || len(key) > maxIdempotencyKey || strings.ContainsFunc(key, notPrintable) {
		return "", badKey()
	}
	return key, nil
}

// headerLines are the values of a header, one for each line that was sent.
func headerLines(ctx huma.Context, header string) (values []string) {
	ctx.EachHeader(func(name, value string) {
		if strings.EqualFold(name, header) {
			values = append(values, value)
		}
	})
	return values
}

func notPrintable(r rune) bool { return r < ' ' || r > '~' }

func badKey() *Problem {
	return validationProblem(FieldError{"header." + idempotencyHeader, "must be one string of 1 to 255 characters of printable ASCII"})
}

// keyScope says whose idempotency keys are. Where nobody is asked who they are,
// everybody is one caller. A host's own names may be of any kind.
func keyScope(c *Caller) string {
	scope := "http:" + url.PathEscape(c.Name)
	if len(scope) > maxIdempotencyKey {
		return "sha256:" + HashToken(c.Name)
	}
	return scope
}
