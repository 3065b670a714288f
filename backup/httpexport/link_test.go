package httpexport

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNextLink(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]string{
		"":                        "",
		`</b?page=2>; rel="next"`: "/b?page=2",
		`<https://h/b>; rel=next`: "https://h/b",
		`</b>;REL="prev NEXT"`:    "/b",
		`</b> ; rel = "next" ; x`: "/b",
		`</a>; rel="prev", </b>; rel="next", </c>; rel="last"`: "/b",
		`</a,b;c>; title="a, \"<b>\"; rel=next"; rel="next"`:   "/a,b;c",
		`</b>; rel="next", </b>; rel="next"`:                   "/b",
		`, ,</b>; rel="next",`:                                 "/b",
		`</b>;; rel="next";`:                                   "/b",
		`</b>; rel="last"; rel="next"`:                         "",
		`</b>; rel="next"; anchor="#part"`:                     "",
		`</b>; rel="next-archive"`:                             "",
		`</b>; title="rel=next"`:                               "",
		`</b>`:                                                 "",
	} {
		got, err := nextLink([]string{field})
		require.NoError(t, err, field)
		require.Equal(t, want, got, field)
	}
	got, err := nextLink([]string{`</a>; rel="prev"`, "", `</b>; rel="next"`})
	require.NoError(t, err)
	require.Equal(t, "/b", got)

	// What can't be read could be the next page.
	for _, field := range []string{
		"x", "/b; rel=next", `</b; rel="next"`, `<>; rel="next"`, `</b>; rel="next`, `</b>; rel="next\`, `</b> rel="next"`,
		`</a>; rel="prev"; x="`, `</a b>; rel="next"`, `<<a>; rel="next"`, `</a>; rel="next" next`,
		`</b>; rel="next", </c>; rel="next"`,
	} {
		_, err := nextLink([]string{field})
		require.Error(t, err, field)
	}
	_, err = nextLink([]string{`</b>; rel="next"`, `</c>; rel="next"`})
	require.ErrorIs(t, err, errLinkNext)
}

func FuzzLink(f *testing.F) {
	f.Add(`</a>; rel="prev", </b?c=d>; rel="next"; title="\"x"`)
	f.Add(`</a>;rel=next;;anchor=x ,`)
	f.Fuzz(func(t *testing.T, field string) {
		next, err := nextLink([]string{field})
		if err != nil {
			require.Empty(t, next)
			return
		}
		if next != "" {
			require.Contains(t, field, next)
			require.Contains(t, strings.ToLower(strings.ReplaceAll(field, `\`, "")), "next")
			require.False(t, strings.ContainsAny(next, "<> \t\""), "%q", next)
		}
		again, err := nextLink([]string{field, `</another-one>; rel="next"`})
		if next != "" && next != "/another-one" {
			require.ErrorIs(t, err, errLinkNext)
		} else {
			require.NoError(t, err)
			require.Equal(t, "/another-one", again)
		}
	})
}
