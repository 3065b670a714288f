package blob

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// MaxCursorLen is the most bytes that a cursor may have.
const MaxCursorLen = 8 * kib

// marks follows the places behind which a source with a cursor can go on. For a
// source without one it does nothing.
type marks struct {
	cursor func() string // UploadOptions.Cursor
	last   string        // what it returned last that wasn't empty
	at     int64         // where in the stream that was
	page   int64         // how many bytes came between the last two marks
}

// look asks for the cursor behind received bytes.
func (m *marks) look(received int64) error {
	if m.cursor == nil {
		return nil
	}
	c := m.cursor()
	if c == "" {
		return nil
	}
	if received > m.at {
		m.page = received - m.at
	}
	m.last, m.at = c, received
	return checkCursor(c)
}

// ends says whether a part of size bytes, n of which are filled, should end here:
// at a mark behind which the next page would hardly fit.
func (m *marks) ends(received int64, size, n int) bool {
	return m.cursor != nil && n > 0 && m.at == received && int64(size-n) < max(m.page, int64(size)/16)
}

// safe is how many of the last n bytes that were received lie before the last
// mark, and the cursor there.
func (m *marks) safe(received int64, n int) (int, string) {
	if m.cursor == nil {
		return n, ""
	}
	if begin := received - int64(n); m.at > begin {
		return int(m.at - begin), m.last
	}
	return 0, ""
}

// checkCursor keeps out what a database may not store, and what doesn't belong
// there.
func checkCursor(c string) error {
	if len(c) > MaxCursorLen {
		return fmt.Errorf("%w: it has %d bytes", ErrCursor, len(c))
	}
	if !utf8.ValidString(c) {
		return fmt.Errorf("%w: it is not UTF-8", ErrCursor)
	}
	for _, r := range c {
		if unicode.IsControl(r) {
			return fmt.Errorf("%w: it has the control character %U", ErrCursor, r)
		}
	}
	return nil
}
