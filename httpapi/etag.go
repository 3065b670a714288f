package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// encode is v as the body of an answer, and its entity tag. The tag is a hash of
// the body, and so a strong one: what a backup shows changes without an event, too,
// when a heartbeat brings how far an export has come.
func encode(v any) (body []byte, etag string, err error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, "", fmt.Errorf("encode answer: %w", err)
	}
	sum := sha256.Sum256(buf.Bytes())
	return buf.Bytes(), `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`, nil
}

// matchesETag reports whether the header If-None-Match has the tag: "*" has all,
// and a weak tag is as good as a strong one (RFC 9110, section 13.1.2).
func matchesETag(ifNoneMatch, etag string) bool {
	if strings.TrimSpace(ifNoneMatch) == "*" {
		return true
	}
	for tag := range strings.SplitSeq(ifNoneMatch, ",") { // ours have no comma
		if strings.TrimPrefix(strings.TrimSpace(tag), "W/") == etag {
			return true
		}
	}
	return false
}
