package httpexport_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/httpexport"
)

// serveFile serves the content with the headers given, as http.ServeContent
// does, and sends what was asked for to asked.
func serveFile(t *testing.T, modified time.Time, etag string, asked chan<- http.Header) *httpexport.Provider {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Clone()
		w.Header().Set("Content-Type", "application/x-tar")
		if etag != "" {
			w.Header().Set("ETag", etag)
		}
		http.ServeContent(w, r, "", modified, strings.NewReader(content))
	}, nil)
}

func TestResume(t *testing.T) {
	t.Parallel()
	modified := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		etag      string
		modified  time.Time
		validator string
	}{
		"ETag":          {etag: `"v1"`, validator: `"v1"`},
		"Last-Modified": {modified: modified, validator: "Wed, 01 Jan 2020 00:00:00 GMT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan http.Header, 10)
			p := serveFile(t, tt.modified, tt.etag, asked)
			first, _ := whole(t, p, request())
			require.Equal(t, tt.validator, first.Validator)
			require.Empty(t, (<-asked).Get("Range"))

			for _, offset := range []int64{1, 1000, int64(len(content)) - 1, int64(len(content))} {
				e, end := whole(t, p, resumeAt(offset, first.Validator))
				require.Equal(t, offset, e.Offset)
				require.EqualValues(t, len(content), e.Size)
				require.Equal(t, tt.validator, e.Validator)
				require.Equal(t, backup.End{}, end, "its size proves it")
				header := <-asked
				require.Equal(t, fmt.Sprintf("bytes=%d-", offset), header.Get("Range"))
				require.Equal(t, tt.validator, header.Get("If-Range"))
				require.Empty(t, asked, "one request is enough")
			}
		})
	}
}

func TestResumeStartsOverWhereTheSourceHasChanged(t *testing.T) {
	t.Parallel()
	asked := make(chan http.Header, 10)
	p := serveFile(t, time.Time{}, `"v2"`, asked)
	for _, offset := range []int64{1, int64(len(content)), int64(len(content)) + 7} {
		e, _ := whole(t, p, resumeAt(offset, `"v1"`))
		require.Zero(t, e.Offset)
		require.Equal(t, `"v2"`, e.Validator)
	}
	require.Len(t, asked, 3)
}

// TestResumeAsksForTheWhole where a part could not be joined safely.
func TestResumeAsksForTheWhole(t *testing.T) {
	t.Parallel()
	asked := make(chan http.Header, 10)
	p := serveFile(t, time.Time{}, `W/"v1"`, asked)
	e, _ := whole(t, p, request())
	require.Empty(t, e.Validator, "a weak ETag is no validator")
	require.Empty(t, (<-asked).Get("Range"))
	for _, validator := range []string{"", `W/"v1"`, "v1", "\"v1\"\r\nX: y"} {
		e, _ := whole(t, p, resumeAt(100, validator))
		require.Zero(t, e.Offset)
		require.Empty(t, (<-asked).Get("Range"), "%q", validator)
	}

	p = serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Clone()
		_, _ = io.WriteString(w, content)
	}, func(c *httpexport.Config) { c.NoResume = true })
	whole(t, p, resumeAt(100, `"v1"`))
	require.Empty(t, (<-asked).Get("Range"))
}

// TestResumeNeverJoinsAnotherPart answers a request for a part in many wrong
// ways. Each is followed by a request for the whole.
func TestResumeNeverJoinsAnotherPart(t *testing.T) {
	t.Parallel()
	n := len(content)
	for name, tt := range map[string]struct {
		status  int
		headers []string // name, value, ...
		body    string
	}{
		"another start":      {206, []string{"ETag", `"v1"`, "Content-Range", fmt.Sprintf("bytes 999-%d/%d", n-1, n)}, content[999:]},
		"from the beginning": {206, []string{"ETag", `"v1"`, "Content-Range", fmt.Sprintf("bytes 0-%d/%d", n-1, n)}, content},
		"another length":     {206, []string{"ETag", `"v1"`, "Content-Range", fmt.Sprintf("bytes 1000-%d/%d", n-1, n), "Content-Length", "10"}, content[:10]},
		"another ETag":       {206, []string{"ETag", `"v2"`, "Content-Range", fmt.Sprintf("bytes 1000-%d/%d", n-1, n)}, content[1000:]},
		"a weak ETag":        {206, []string{"ETag", `W/"v1"`, "Content-Range", fmt.Sprintf("bytes 1000-%d/%d", n-1, n)}, content[1000:]},
		"no ETag":            {206, []string{"Content-Range", fmt.Sprintf("bytes 1000-%d/%d", n-1, n)}, content[1000:]},
		"no range":           {206, []string{"ETag", `"v1"`}, content[1000:]},
		"another unit":       {206, []string{"ETag", `"v1"`, "Content-Range", fmt.Sprintf("rows 1000-%d/%d", n-1, n)}, content[1000:]},
		"an impossible end":  {206, []string{"ETag", `"v1"`, "Content-Range", fmt.Sprintf("bytes 1000-%d/%d", n, n)}, content[1000:]},
		"many parts": {206, []string{"ETag", `"v1"`, "Content-Type", "multipart/byteranges; boundary=x",
			"Content-Range", fmt.Sprintf("bytes 1000-%d/%d", n-1, n)}, content[1000:]},
		"the part, as a 200":               {200, []string{"ETag", `"v1"`, "Content-Range", fmt.Sprintf("bytes 1000-%d/%d", n-1, n)}, content[1000:]},
		"a part, as a 200":                 {200, []string{"ETag", `"v1"`, "Content-Range", "bytes 0-999/*"}, content[:1000]},
		"nothing there, of another length": {416, []string{"Content-Range", "bytes */999"}, "error"},
		"nothing there, without a length":  {416, nil, "error"},
		"nothing there, another ETag":      {416, []string{"ETag", `"v2"`, "Content-Range", "bytes */1000"}, "error"},
		"nothing there, but a range":       {416, []string{"Content-Range", "bytes 0-999/1000"}, "error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests int
			p := serve(t, func(w http.ResponseWriter, r *http.Request) {
				requests++
				if r.Header.Get("Range") == "" {
					_, _ = io.WriteString(w, content)
					return
				}
				for i := 0; i < len(tt.headers); i += 2 {
					w.Header().Set(tt.headers[i], tt.headers[i+1])
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}, nil)
			e, _ := whole(t, p, resumeAt(1000, `"v1"`))
			require.Zero(t, e.Offset)
			require.Equal(t, 2, requests)
		})
	}
}

func TestResumeAtTheEnd(t *testing.T) {
	t.Parallel()
	p := raw(t, "HTTP/1.1 416 No\r\nContent-Range: bytes */1000\r\nContent-Type: text/html\r\n\r\nhello", func(c *httpexport.Config) {
		c.ContentType = []string{"application/x-tar"}
	})
	e, err := p.Export(t.Context(), resumeAt(1000, `"v1"`))
	require.NoError(t, err)
	got, err := read(t, e)
	require.NoError(t, err)
	require.Empty(t, got)
	require.EqualValues(t, 1000, e.Offset)
	require.EqualValues(t, 1000, e.Size)
	require.Equal(t, `"v1"`, e.Validator)
	require.Equal(t, "application/x-tar", e.ContentType)
}

// TestResumeOfAShortenedPart: a source may send less than was asked for.
func TestResumeOfAShortenedPart(t *testing.T) {
	t.Parallel()
	part := func(total string) *httpexport.Provider {
		return raw(t, strings.Join([]string{
			"HTTP/1.1 206 Partial Content", `ETag: "v1"`, "Content-Range: bytes 1000-1999/" + total,
			"Transfer-Encoding: chunked", "", chunked(content[1000:2000]) + "0\r\n\r\n",
		}, "\r\n"), nil)
	}
	e, err := part(strconv.Itoa(len(content))).Export(t.Context(), resumeAt(1000, `"v1"`))
	require.NoError(t, err)
	require.EqualValues(t, len(content), e.Size)
	got, err := read(t, e)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, content[1000:2000], got, "what came is of use to the next attempt")

	e, err = part("*").Export(t.Context(), resumeAt(1000, `"v1"`))
	require.NoError(t, err)
	require.EqualValues(t, -1, e.Size)
	got, err = read(t, e)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "nobody said that this was the rest")
	require.Equal(t, content[1000:2000], got)
	_, err = e.End()
	require.Error(t, err)
}

// Nothing goes on behind a part with more bytes than it says: it may be another one.
func TestPartThatIsTooLong(t *testing.T) {
	t.Parallel()
	for total, rest := range map[string]string{"2000": content[1000:2001], "10000": content[1000:], "*": content[1000:]} {
		p := raw(t, strings.Join([]string{
			"HTTP/1.1 206 Partial Content", `ETag: "v1"`, "Content-Range: bytes 1000-1999/" + total,
			"Transfer-Encoding: chunked", "", chunked(rest) + "0\r\n\r\n",
		}, "\r\n"), nil)
		e, err := p.Export(t.Context(), resumeAt(1000, `"v1"`))
		require.NoError(t, err)
		got, err := read(t, e)
		require.ErrorContains(t, err, "1000 bytes were announced, and more came")
		require.ErrorIs(t, err, backup.ErrRefuted)
		require.Contains(t, backup.Classify(err).Hint, "NoResume")
		require.Equal(t, content[1000:2000], got)
	}
}

func TestPartThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	p := raw(t, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/10\r\nContent-Length: 5\r\n\r\nhello", nil)
	err := fails(t, p, request())
	require.Equal(t, backup.ClassPermanent, err.Class)
	require.Contains(t, err.Hint, "a part although the whole was asked for")

	for field, part := range map[string]bool{
		"bytes 0-4/10": true, "bytes 5-9/10": true, "bytes 0-4/*": true,
		"bytes 0-4/5": false, "bytes */5": false, "items 5-9/10": false, "0-4/10": false,
	} {
		p := raw(t, "HTTP/1.1 200 OK\r\nContent-Range: "+field+"\r\nContent-Length: 5\r\n\r\nhello", nil)
		if !part {
			e, err := p.Export(t.Context(), request())
			require.NoError(t, err, field)
			require.NoError(t, e.Body.Close())
			continue
		}
		err := fails(t, p, request())
		require.Equal(t, backup.ClassPermanent, err.Class, field)
		require.ErrorContains(t, err, "200 with the Content-Range of a part")
	}
}

// TestResumeWithADate: a 206 need not repeat Last-Modified, but must not have
// another.
func TestResumeWithADate(t *testing.T) {
	t.Parallel()
	const validator = "Wed, 01 Jan 2020 00:00:00 GMT"
	for modified, offset := range map[string]int64{
		"": 1000, validator: 1000, "Wed, 01 Jan 2020 00:00:01 GMT": 0,
	} {
		p := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") == "" {
				_, _ = io.WriteString(w, content)
				return
			}
			if modified != "" {
				w.Header().Set("Last-Modified", modified)
			}
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 1000-%d/%d", len(content)-1, len(content)))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, content[1000:])
		}, nil)
		e, _ := whole(t, p, resumeAt(1000, validator))
		require.Equal(t, offset, e.Offset, "%q", modified)
	}
}
