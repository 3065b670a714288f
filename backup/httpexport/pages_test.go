package httpexport_test

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/httpexport"
)

const pageSize = 3000

// book serves the content in pages of pageSize bytes, and names the next one both
// ways. What it serves instead is up to its fields.
type book struct {
	mu      sync.Mutex
	asked   []string // the query of each request
	chunked bool
	spoil   func(page int, w http.ResponseWriter, r *http.Request) bool // reports whether it answered
}

func (b *book) pages() int { return (len(content) + pageSize - 1) / pageSize }

func (b *book) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.asked = append(b.asked, r.URL.RawQuery)
	b.mu.Unlock()
	page, _ := strconv.Atoi(cmp.Or(r.URL.Query().Get("page"), "0"))
	if page < b.pages()-1 {
		w.Header().Set("X-Next", strconv.Itoa(page+1))
		w.Header().Add("Link", fmt.Sprintf(`</%d>; rel="prev", <?page=%d>; rel="next"`, page-1, page+1))
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	if b.spoil != nil && b.spoil(page, w, r) {
		return
	}
	text := content[page*pageSize : min(len(content), (page+1)*pageSize)]
	if b.chunked {
		w.(http.Flusher).Flush()
	} else {
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	}
	_, _ = io.WriteString(w, text)
}

func (b *book) take() (asked []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	asked, b.asked = b.asked, nil
	return asked
}

func linked(c *httpexport.Config) { c.Pages = &httpexport.Pages{} }

func marked(c *httpexport.Config) {
	c.Pages = &httpexport.Pages{CursorHeader: "x-next", CursorParam: "page"}
}

// place is how far an export was read, and the mark there.
type place struct {
	offset int64
	mark   string
}

// readPages reads an export with small buffers, and returns the places with marks.
func readPages(t *testing.T, e *backup.Export) (got string, places []place, err error) {
	t.Helper()
	defer func() { require.NoError(t, e.Body.Close()) }()
	var text strings.Builder
	buf := make([]byte, 700)
	for {
		n, err := e.Body.Read(buf)
		text.Write(buf[:n])
		offset := e.Offset + int64(text.Len())
		if mark := e.Cursor(); mark != "" && (len(places) == 0 || places[len(places)-1] != place{offset, mark}) {
			places = append(places, place{offset, mark})
		}
		if err == io.EOF {
			return text.String(), places, nil
		}
		if err != nil {
			require.NotErrorIs(t, err, io.EOF)
			return text.String(), places, err
		}
	}
}

func resumeBehind(p place) *backup.ExportRequest {
	req := request()
	req.Offset, req.Cursor = p.offset, p.mark
	return req
}

func TestPages(t *testing.T) {
	t.Parallel()
	for name, form := range map[string]func(*httpexport.Config){"linked": linked, "marked": marked} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, chunked %t", name, chunked), func(t *testing.T) {
				t.Parallel()
				b := &book{chunked: chunked}
				p := serve(t, b.ServeHTTP, form)
				e, err := p.Export(t.Context(), request())
				require.NoError(t, err)
				require.Zero(t, e.Offset)
				require.EqualValues(t, -1, e.Size)
				require.Equal(t, "application/x-ndjson", e.ContentType)
				got, places, err := readPages(t, e)
				require.NoError(t, err)
				require.Equal(t, content, got)
				end, err := e.End()
				require.NoError(t, err)
				require.Equal(t, backup.End{Framed: true}, end)
				require.Equal(t, []string{"", "page=1", "page=2", "page=3", "page=4", "page=5", "page=6"}, b.take())

				require.Len(t, places, b.pages()-1)
				for i, at := range places {
					require.EqualValues(t, pageSize*(i+1), at.offset, "marks are at page ends")
					e, err := p.Export(t.Context(), resumeBehind(at))
					require.NoError(t, err)
					require.Equal(t, at.offset, e.Offset)
					rest, more, err := readPages(t, e)
					require.NoError(t, err)
					require.Equal(t, content[at.offset:], rest)
					require.Equal(t, places[i+1:], append([]place{}, more...))
					asked := b.take()
					require.Len(t, asked, b.pages()-1-i, "no page is read again")
					require.Equal(t, fmt.Sprintf("page=%d", i+1), asked[0])
				}
			})
		}
	}
}

// TestPagesThatFail spoils the third page.
func TestPagesThatFail(t *testing.T) {
	t.Parallel()
	header := func(name, value string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool { w.Header().Set(name, value); return false }
	}
	status := func(code int, headers ...string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(code)
			return true
		}
	}
	unframed := func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Transfer-Encoding", "identity") // what net/http takes for "close the connection"
		return false
	}
	text := content[2*pageSize : 3*pageSize]
	for name, tt := range map[string]struct {
		spoil   func(http.ResponseWriter, *http.Request) bool
		form    func(*httpexport.Config)
		class   backup.Class // empty: nothing is wrong
		message string
		read    int // pages
	}{
		"429":      {spoil: status(429, "Retry-After", "7"), class: backup.ClassRetryAfter, message: "page 3: GET http://127.0.0.1", read: 2},
		"503":      {spoil: status(503, "Retry-After", "7"), class: backup.ClassRetryAfter, message: "503", read: 2},
		"500":      {spoil: status(500), class: backup.ClassRetryable, message: "500", read: 2},
		"404":      {spoil: status(404), class: backup.ClassPermanent, message: "404", read: 2},
		"206":      {spoil: status(206), class: backup.ClassPermanent, message: "206", read: 2},
		"redirect": {spoil: status(302, "Location", "http://elsewhere.example/"), class: backup.ClassRetryable, message: "elsewhere.example, which is not allowed", read: 2},
		"HTML":     {spoil: header("Content-Type", "text/html"), class: backup.ClassRetryable, message: "text/html", read: 2},
		"another type": {
			spoil: header("Content-Type", "application/json"), class: backup.ClassRetryable, message: "another content type", read: 2,
		},
		"coded": {spoil: header("Content-Encoding", "gzip"), class: backup.ClassPermanent, message: "content coding", read: 2},
		"another host": {
			spoil: header("Link", `<http://elsewhere.example/?page=3>; rel="next"`), class: backup.ClassPermanent,
			message: "its next page is elsewhere, at http://elsewhere.example", read: 2,
		},
		"https":           {spoil: header("Link", `<https://127.0.0.1/?page=3>; rel="next"`), class: backup.ClassPermanent, message: "elsewhere", read: 2},
		"no URL":          {spoil: header("Link", `<mailto:x>; rel="next"`), class: backup.ClassPermanent, message: "elsewhere", read: 2},
		"a user":          {spoil: header("Link", `<//u:secret@127.0.0.1/>; rel="next"`), class: backup.ClassPermanent, message: "invalid Link", read: 2},
		"invalid Link":    {spoil: header("Link", `<secret`), class: backup.ClassPermanent, message: "invalid Link", read: 2},
		"two next pages":  {spoil: header("Link", `<a>; rel="next", <secret>; rel="next"`), class: backup.ClassPermanent, message: "more than one next page", read: 2},
		"a long Link":     {spoil: header("Link", `<`+strings.Repeat("secret", 2000)+`>; rel="next"`), class: backup.ClassPermanent, message: "too long", read: 2},
		"a Link to here":  {spoil: header("Link", `<#top>; rel="next"`), class: backup.ClassPermanent, message: "invalid Link", read: 2},
		"the same page":   {spoil: header("Link", `<?page=2>; rel="next"`), class: backup.ClassPermanent, message: "an earlier one", read: 2},
		"the page before": {spoil: header("Link", `<?page=1>; rel="next"`), class: backup.ClassPermanent, message: "an earlier one", read: 2},
		"the same mark":   {spoil: header("X-Next", "2"), form: marked, class: backup.ClassPermanent, message: "an earlier one", read: 2},
		"two marks": {
			spoil: func(w http.ResponseWriter, _ *http.Request) bool { w.Header().Add("X-Next", "4"); return false }, form: marked,
			class: backup.ClassPermanent, message: "more than one X-Next", read: 2,
		},
		"binary mark":          {spoil: header("X-Next", "\xff"), form: marked, class: backup.ClassPermanent, message: "not text", read: 2},
		"unproven":             {spoil: unframed, class: backup.ClassPermanent, message: "nothing proves the end of the page", read: 3},
		"wrong Content-Digest": {spoil: header("Content-Digest", field("sha-256", sum256("x"))), class: backup.ClassRetryable, message: "compare Content-Digest", read: 3},
		"wrong Repr-Digest":    {spoil: header("Repr-Digest", field("sha-256", sum256("x"))), class: backup.ClassRetryable, message: "compare Repr-Digest", read: 3},
		"right Repr-Digest":    {spoil: header("Repr-Digest", field("sha-256", sum256(text))), read: 7},
		"unframed, but Digest": {spoil: func(w http.ResponseWriter, r *http.Request) bool {
			header("Repr-Digest", field("sha-256", sum256(text)))(w, r)
			return unframed(w, r)
		}, read: 7},
		"too many for MaxPages": {form: func(c *httpexport.Config) { c.Pages = &httpexport.Pages{MaxPages: 6} }, class: backup.ClassPermanent, message: "more than 6 pages", read: 6},
		"just enough":           {form: func(c *httpexport.Config) { c.Pages = &httpexport.Pages{MaxPages: 7} }, read: 7},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &book{spoil: func(page int, w http.ResponseWriter, r *http.Request) bool {
				return page == 2 && tt.spoil != nil && tt.spoil(w, r)
			}}
			b.chunked = strings.HasPrefix(name, "un")
			if tt.form == nil {
				tt.form = linked
			}
			e, err := serve(t, b.ServeHTTP, tt.form).Export(t.Context(), request())
			require.NoError(t, err)
			got, places, err := readPages(t, e)
			require.Equal(t, content[:min(len(content), tt.read*pageSize)], got)
			if tt.class == "" {
				require.NoError(t, err)
				return
			}
			requireClass(t, tt.class, err)
			require.ErrorContains(t, err, tt.message)
			require.ErrorContains(t, err, "page ")
			require.NotContains(t, err.Error(), "secret")
			require.NotEmpty(t, places)
			last := places[len(places)-1]
			require.EqualValues(t, min(tt.read, 2+strings.Count(name, "MaxPages")*4)*pageSize, last.offset, "marks are behind proven pages only")
			_, err = e.End()
			require.Error(t, err)
		})
	}
}

// TestPagesThatBreakOff goes on behind the page before.
func TestPagesThatBreakOff(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T, http.HandlerFunc, func(*httpexport.Config)) *httpexport.Provider{
		"HTTP/1": serve, "HTTP/2": serveH2,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := true
			b := &book{spoil: func(page int, w http.ResponseWriter, _ *http.Request) bool {
				if page == 2 && broken {
					broken = false
					_, _ = io.WriteString(w, content[2*pageSize:2*pageSize+500])
					w.(http.Flusher).Flush()
					panic(http.ErrAbortHandler)
				}
				return false
			}}
			p := start(t, b.ServeHTTP, linked)
			e, err := p.Export(t.Context(), request())
			require.NoError(t, err)
			got, places, err := readPages(t, e)
			requireClass(t, backup.ClassRetryable, err)
			require.Equal(t, content[:2*pageSize+500], got)
			last := places[len(places)-1]
			require.EqualValues(t, 2*pageSize, last.offset)
			e, err = p.Export(t.Context(), resumeBehind(last))
			require.NoError(t, err)
			rest, _, err := readPages(t, e)
			require.NoError(t, err)
			require.Equal(t, content[last.offset:], rest)
		})
	}
}
