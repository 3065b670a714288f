package main

import (
	"fmt"
	"math"
	"strconv"

	"github.com/dustin/go-humanize"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// size is a number of bytes on the command line.
type size int64

// UnmarshalText reads a size such as 1GiB.
func (s *size) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n < 1 || n > math.MaxInt64 {
		return fmt.Errorf("must be a size such as 512MiB or 20GiB, not %q", text)
	}
	*s = size(n)
	return nil
}

// String is the exact size in the largest unit that divides it.
func (s size) String() string {
	n, units := int64(s), []string{"B", "KiB", "MiB", "GiB"}
	i := 0
	for n != 0 && n%1024 == 0 && i < len(units)-1 {
		n, i = n/1024, i+1
	}
	return strconv.FormatInt(n, 10) + " " + units[i]
}

// argument is the size in bytes, for the command line of a child.
func (s size) argument() string { return strconv.FormatInt(int64(s), 10) + "B" }
