package backup

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// The name of an object is
//
//	<prefix>/<user>/<site>/<backup>/<provider>/<upload id>
//
// so that a tenant's objects are found by prefix, and two uploads never share
// a name and, with it, uncommitted parts.

func (c *Client) objectKey(b *Backup, provider string, upload uuid.UUID) string {
	return c.backupPrefix(b) + provider + "/" + upload.String()
}

// manifestKey is where the manifest of a backup is. A retry that exports
// finished tasks again begins a new generation, with a manifest of its own.
func (c *Client) manifestKey(b *Backup) string {
	if b.generation > 1 {
		return fmt.Sprintf("%smanifest-%d.json", c.backupPrefix(b), b.generation)
	}
	return c.backupPrefix(b) + "manifest.json"
}

func (c *Client) backupPrefix(b *Backup) string {
	return prefixUnder(c.cfg.Prefix, b.UserID, b.SiteID, b.ID)
}

func prefixUnder(prefix, userID, siteID, backupID string) string {
	key := escapeSegment(userID) + "/" + escapeSegment(siteID) + "/" + backupID + "/"
	if prefix != "" {
		key = prefix + "/" + key
	}
	return key
}

// escapeSegment percent-encodes everything but the unreserved characters of
// RFC 3986 §2.3, and a dot at the beginning or the end, so that no id is "." or
// ".." or hidden on a file system, and none ends in what Azure may drop: what is
// stored for "acme." would be in the place of "acme" there. Objects keep the keys
// that earlier releases, which left the last dot, gave them.
func escapeSegment(s string) string {
	const hex = "0123456789ABCDEF"
	var sb strings.Builder
	for i := range len(s) {
		ch := s[i]
		if unreserved(ch) && (ch != '.' || i > 0 && i < len(s)-1) {
			sb.WriteByte(ch)
			continue
		}
		sb.Write([]byte{'%', hex[ch>>4], hex[ch&15]})
	}
	return sb.String()
}

// escapeSegmentBefore is what earlier releases had for escapeSegment: they left the
// last dot.
func escapeSegmentBefore(s string) string {
	e := escapeSegment(s)
	if len(s) > 1 && strings.HasSuffix(s, ".") {
		e = strings.TrimSuffix(e, "%2E") + "."
	}
	return e
}

func unreserved(ch byte) bool {
	return 'a' <= ch && ch <= 'z' || 'A' <= ch && ch <= 'Z' || '0' <= ch && ch <= '9' || strings.IndexByte("-._~", ch) >= 0
}
