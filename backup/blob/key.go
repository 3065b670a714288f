package blob

import (
	"errors"
	"fmt"
	"strings"
)

// ValidateKey returns an error that says what is wrong with key as the key of an
// object, or nil. Every Store refuses the keys that it refuses.
func ValidateKey(key string) error {
	if err := checkKey(key); err != nil {
		return fmt.Errorf("key %q %w", key, err)
	}
	return nil
}

func checkKey(key string) error {
	if key == "" {
		return errors.New("must not be empty")
	}
	if len(key) > MaxKeyLen {
		return fmt.Errorf("must have at most %d bytes", MaxKeyLen)
	}
	for i := range len(key) {
		// Azure takes a backslash for a slash.
		if c := key[i]; c <= ' ' || c > '~' || c == '\\' {
			return errors.New("must be percent-encoded: printable ASCII without spaces and backslashes")
		}
	}
	for segment := range strings.SplitSeq(key, "/") {
		switch segment {
		case "", ".", "..":
			return fmt.Errorf("must not have the segment %q", segment)
		}
	}
	return nil
}
