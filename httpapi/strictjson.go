package httpapi

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// What encoding/json passes over, and what another program may read in another way
// (RFC 8259 §4 and §8.2, RFC 7493 §2). Whatever isn't JSON is left to encoding/json.

// hasLoneSurrogate finds an escape that is half of a character: another id would be made
// of it.
func hasLoneSurrogate(data []byte) bool {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' { // there are none but in strings
			continue
		}
		unit := escapedUnit(data[i:])
		switch {
		case unit < 0xd800 || unit > 0xdfff:
			i++ // what follows is escaped, and may be a backslash
		case unit > 0xdbff:
			return true
		default:
			if low := escapedUnit(data[i+6:]); low < 0xdc00 || low > 0xdfff {
				return true
			}
			i += 11
		}
	}
	return false
}

// escapedUnit is the UTF-16 unit of the escape that data begins with, or -1.
func escapedUnit(data []byte) int {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return -1
	}
	unit, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return int(unit)
}

// repeated is the first member that an object has twice: which of the two counts would
// be up to the reader.
func repeated(data []byte) (member string, found bool) {
	type level struct {
		seen map[string]bool // nil: an array
		name bool            // a member's name is next
	}
	var open []*level
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	for {
		token, err := dec.Token()
		if err != nil {
			return "", false
		}
		var in *level
		if len(open) > 0 {
			in = open[len(open)-1]
		}
		switch delim, _ := token.(json.Delim); {
		case delim == '}' || delim == ']':
			open = open[:len(open)-1]
			continue
		case in != nil && in.name:
			name, _ := token.(string)
			if in.seen[name] {
				return name, true
			}
			in.seen[name], in.name = true, false
			continue
		case delim == '{':
			open = append(open, &level{seen: make(map[string]bool), name: true})
		case delim == '[':
			open = append(open, &level{})
		}
		if in != nil {
			in.name = in.seen != nil // the value was this
		}
	}
}
