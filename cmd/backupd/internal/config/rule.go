package config

import (
	"reflect"
	"regexp"
	"strings"
)

// fieldErrorRE is how our packages name the field of a Config and its rule.
var fieldErrorRE = regexp.MustCompile(`^(?:provider "[^"]*": )?([A-Z][A-Za-z0-9]*)(\[\d+\])? (must .*)$`)

// splitRule takes apart an error such as "MaxSize must not be negative".
func splitRule(err error) (field, index, rule string) {
	if m := fieldErrorRE.FindStringSubmatch(err.Error()); m != nil {
		return m[1], m[2], m[3]
	}
	return "", "", err.Error()
}

// FieldProblems says what a package of ours finds wrong with config, a pointer to
// its Config, in terms of the keys below path. Such a package names one field at
// a time; putting right that one, with what it is in valid, brings the next.
func (f *File) FieldProblems(path string, config, valid any, validate func() error) Problems {
	var ps Problems
	for seen := make(map[string]bool); ; {
		err := validate()
		if err == nil {
			return ps
		}
		field, index, rule := splitRule(err)
		value := reflect.ValueOf(config).Elem().FieldByName(field)
		if !value.IsValid() || seen[field] {
			if len(seen) == 0 {
				ps = append(ps, f.Problem(path, "%s", rule))
			}
			return ps
		}
		seen[field] = true
		ps = append(ps, f.Problem(path+"."+keyOf(field)+index, "%s", rule))
		value.Set(reflect.ValueOf(valid).Elem().FieldByName(field))
	}
}

// keyOf is the key of the file for a field of a Config.
func keyOf(field string) string {
	switch field {
	case "URL", "TLS", "SHA256":
		return strings.ToLower(field)
	case "WorkerID":
		return "id"
	case "TLSTimeout":
		return "tlsTimeout"
	case "Header":
		return "headers"
	}
	return strings.ToLower(field[:1]) + field[1:]
}
