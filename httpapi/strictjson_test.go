package httpapi_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
)

// Two readers of a body never make different requests of it.
func TestBodiesWithOneMeaning(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	for body, says := range map[string]string{
		`{"userId":"u","userId":"v","siteId":"s"}`:                       `The body has the member "userId" more than once.`,
		`{"userId":"u","user\u0049d":"v","siteId":"s"}`:                  `The body has the member "userId" more than once.`,
		`{"userId":"u","siteId":"s","labels":{"a":"1","b":"2","a":"1"}}`: `The body has the member "a" more than once.`,
		`{"userId":"u","siteId":"s","providers":["db",{"x":[],"x":{}}]}`: `The body has the member "x" more than once.`,
		`{"userId":"\ud800","siteId":"s"}`:                               "half of a character",
		`{"userId":"\udc00","siteId":"s"}`:                               "half of a character",
		`{"userId":"\udc00\ud800","siteId":"s"}`:                         "half of a character",
		`{"userId":"\ud83d\u0041","siteId":"s"}`:                         "half of a character",
		`{"userId":"\uD83Dx","siteId":"s"}`:                              "half of a character",
		`{"userId":"u","siteId":"s","labels":{"\ud83d":"x"}}`:            "half of a character",
		`{"userId":"\\\ud83d","siteId":"s"}`:                             "half of a character",
	} {
		p := requireProblem(t, b.post(t, body), 400, httpapi.CodeInvalidRequest)
		require.Contains(t, p.Detail, says, body)
	}
	for body, user := range map[string]string{
		`{"userId":"\ud83d\ude00","siteId":"s"}`:                   "😀",
		`{"userId":"\\ud83d","siteId":"s"}`:                        `\ud83d`,
		`{"userId":"\\\\ude00\u0041","siteId":"s"}`:                `\\ude00A`,
		`{"siteId":"s","labels":{"userId":"x"},"userId":"siteId"}`: "siteId",
	} {
		a := b.post(t, body)
		require.Equal(t, 202, a.StatusCode, "%s", a.body)
		require.Equal(t, user, decode[httpapi.Backup](t, a).UserID)
	}
}
