package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// message is a server-sent event.
type message struct {
	id    int64 // 0 without one
	event string
	data  string
}

func (m message) state(t testing.TB) (status string) {
	t.Helper()
	var data struct{ Status string }
	require.NoError(t, json.Unmarshal([]byte(m.data), &data), m.data)
	return data.Status
}

// sse reads an event stream as the HTML standard says.
type sse struct {
	res      *http.Response
	lines    *bufio.Reader
	comments int
	retry    time.Duration
	stop     context.CancelFunc
}

// open asks for the events of a backup behind the one numbered last.
func (b *bundle) open(t testing.TB, id string, last int64) *sse {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+"/backup/"+id+"/events", nil)
	require.NoError(t, err)
	if last > 0 {
		req.Header.Set("Last-Event-ID", strconv.FormatInt(last, 10))
	}
	if b.token != "" {
		req.Header.Set("Authorization", "Bearer "+b.token)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	t.Cleanup(func() {
		cancel()
		_ = res.Body.Close()
	})
	return &sse{res: res, lines: bufio.NewReader(res.Body), stop: cancel}
}

func (b *bundle) follow(t testing.TB, id string, last int64) *sse {
	t.Helper()
	s := b.open(t, id, last)
	require.Equal(t, http.StatusOK, s.res.StatusCode)
	require.Equal(t, "text/event-stream", s.res.Header.Get("Content-Type"))
	require.Equal(t, "no-store", s.res.Header.Get("Cache-Control"))
	return s
}

// next is io.EOF when the stream has ended as it should. What has no end yet is no
// message.
func (s *sse) next() (m message, err error) {
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return message{}, err
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "":
			if m.data != "" {
				return m, nil
			}
		case ":":
			s.comments++
		case "id":
			if m.id, err = strconv.ParseInt(value, 10, 64); err != nil {
				return message{}, err
			}
		case "event":
			m.event = value
		case "data":
			m.data = value
		case "retry":
			ms, err := strconv.Atoi(value)
			if err != nil {
				return message{}, err
			}
			s.retry = time.Duration(ms) * time.Millisecond
		default:
			return message{}, errors.New("unknown line " + line)
		}
	}
}

// read reads n messages.
func (s *sse) read(t testing.TB, n int) (all []message) {
	t.Helper()
	for range n {
		m, err := s.next()
		require.NoError(t, err, "after %v", all)
		all = append(all, m)
	}
	return all
}

// rest reads up to the stream's proper end.
func (s *sse) rest(t testing.TB) (all []message) {
	t.Helper()
	for {
		m, err := s.next()
		if errors.Is(err, io.EOF) {
			require.NotErrorIs(t, err, io.ErrUnexpectedEOF)
			return all
		}
		require.NoError(t, err)
		all = append(all, m)
	}
}

func names(messages []message) (all []string) {
	for _, m := range messages {
		all = append(all, strconv.FormatInt(m.id, 10)+" "+m.event)
	}
	return all
}
