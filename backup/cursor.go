package backup

import (
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// Cursor is a place in a list that is ordered from the newest backup to the
// oldest. It stays where it is when backups are added or deleted.
type Cursor struct {
	CreatedAt time.Time
	ID        string
}

// Cursor is the place of b in List: with it as ListParams.After, a page begins
// behind b.
func (b *Backup) Cursor() *Cursor { return &Cursor{CreatedAt: b.CreatedAt, ID: b.ID} }

// cursorEncoding is strict: a cursor has one spelling only.
var cursorEncoding = base64.RawURLEncoding.Strict()

// String is the cursor as clients hand it back: 32 characters of URL-safe base64
// that they shouldn't read anything into. It is empty for a cursor that no List
// has returned.
func (c *Cursor) String() string {
	id, err := uuid.Parse(c.ID)
	if err != nil {
		return ""
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(c.CreatedAt.UnixMicro()))
	return cursorEncoding.EncodeToString(append(b, id[:]...))
}

// ParseCursor reads what String wrote. Anything else is a *FieldError.
func ParseCursor(s string) (*Cursor, error) {
	b, err := cursorEncoding.DecodeString(s)
	if err != nil || len(b) != 24 || len(s) != 32 {
		return nil, errCursor
	}
	c := &Cursor{
		CreatedAt: time.UnixMicro(int64(binary.BigEndian.Uint64(b))).UTC(), //nolint:gosec // the same 64 bits
		ID:        uuid.UUID(b[8:]).String(),
	}
	if !storable(c.CreatedAt) {
		return nil, errCursor
	}
	return c, nil
}

var errCursor error = &FieldError{"after", "must be a cursor of this list"}

// storable reports whether Postgres has the instant.
func storable(t time.Time) bool {
	year := t.UTC().Year()
	return year >= 1 && year <= 9999
}
