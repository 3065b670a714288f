package config

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/retention"
)

// Size is a number of bytes.
type Size int64

// UnmarshalText reads a size such as 8MiB.
func (s *Size) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > math.MaxInt64 {
		return fmt.Errorf("must be a size such as 8MiB or 10GiB, not %q", text)
	}
	*s = Size(n)
	return nil
}

// String is the exact size in the largest unit that divides it.
func (s Size) String() string {
	n, units := int64(s), []string{"", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for n != 0 && n%1024 == 0 && i < len(units)-1 {
		n, i = n/1024, i+1
	}
	return strconv.FormatInt(n, 10) + units[i]
}

// MarshalYAML writes the size as people do.
func (s Size) MarshalYAML() (any, error) { return s.String(), nil }

// Duration is a time span.
type Duration time.Duration

// UnmarshalText reads a duration such as 90s, 30min, 26h, 7d or 2w, as those of
// schedules and retention, or in Go's form, whose m is a minute.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		var long retention.Duration
		long, err = retention.ParseDuration(string(text))
		v = time.Duration(long)
	}
	if err != nil || v <= 0 {
		return fmt.Errorf("must be a duration such as 90s, 30min, 26h or 7d, not %q", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalYAML writes the duration as people do.
func (d Duration) MarshalYAML() (any, error) {
	return time.Duration(d).String(), nil
}

// Period is a Duration, or backup.Forever.
type Period time.Duration

const forever = "forever"

// UnmarshalText reads a duration, or forever.
func (p *Period) UnmarshalText(text []byte) error {
	if string(text) == forever {
		*p = Period(backup.Forever)
		return nil
	}
	if err := (*Duration)(p).UnmarshalText(text); err != nil {
		return fmt.Errorf("must be forever or a duration such as 90d, not %q", text)
	}
	return nil
}

// MarshalYAML writes the period as people do.
func (p Period) MarshalYAML() (any, error) {
	if p == Period(backup.Forever) {
		return forever, nil
	}
	return time.Duration(p).String(), nil
}

// List is one string or several.
type List []string

// Secret is a value that only its user may see. Whatever prints one prints the
// reference it came from.
type Secret struct {
	value string
	ref   string // "${env:NAME}", or "" for a literal
}

var errLiteral = errors.New("must be a reference to an environment variable such as ${env:NAME}: a secret has no place in the file")

// NewSecret makes a secret that is printed as its source.
func NewSecret(value, source string) Secret { return Secret{value: value, ref: source} }

// Value is the secret itself.
func (s Secret) Value() string { return s.value }

// IsZero reports whether there is none.
func (s Secret) IsZero() bool { return s == Secret{} }

func (s Secret) literal() bool { return s.ref == "" && s.value != "" }

// String is where the secret comes from.
func (s Secret) String() string {
	if s.literal() {
		return "(hidden)"
	}
	return s.ref
}

// Format is String, whatever the verb.
func (s Secret) Format(to fmt.State, _ rune) { _, _ = io.WriteString(to, s.String()) } // fmt keeps no errors

// LogValue is String, for logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalYAML is String, for File.Print.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }
