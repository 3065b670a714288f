package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	File string // "" for one that isn't of a file
	Line int    // 0 where the file has no such key
	Path string // "providers[0].url"; "" for the file as a whole
	Flag string // "--listen" where that, not the file, gave the value
	Text string // "must begin with http:// or https://"

	unset bool // an environment variable isn't set
}

// String is the problem as compilers write it: file:line: path: text.
func (p Problem) String() string {
	var b strings.Builder
	if p.Flag != "" {
		return p.Flag + ": " + p.Text
	}
	if p.File != "" {
		b.WriteString(p.File + ":")
		if p.Line > 0 {
			fmt.Fprintf(&b, "%d:", p.Line)
		}
		b.WriteString(" ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	return b.String() + p.Text
}

// Problems is an error of everything that is wrong, a line each.
type Problems []Problem //nolint:errname // they are read as a list first

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Err is nil if there are no problems.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// Of returns the problems of the file as a whole and of these sections.
func (ps Problems) Of(sections ...string) Problems {
	return slices.DeleteFunc(slices.Clone(ps), func(p Problem) bool {
		return p.Path != "" && !slices.Contains(sections, p.section())
	})
}

// WithoutUnset leaves out the environment variables of these sections that
// aren't set, for a process that doesn't use them.
func (ps Problems) WithoutUnset(sections ...string) Problems {
	return slices.DeleteFunc(slices.Clone(ps), func(p Problem) bool {
		return p.unset && slices.Contains(sections, p.section())
	})
}

func (p Problem) section() string {
	section, _, _ := strings.Cut(p.Path, ".")
	section, _, _ = strings.Cut(section, "[")
	return section
}

// Sort puts them in the order of their lines.
func (ps Problems) Sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
}

// Problem makes a problem of a path of this file, with the line of it or of the
// nearest key around it.
func (f *File) Problem(path, format string, args ...any) Problem {
	p := Problem{File: f.name, Path: path, Flag: f.flags[path], Text: fmt.Sprintf(format, args...)}
	for at := path; at != ""; {
		if p.Line = f.lines[at]; p.Line > 0 {
			break
		}
		at = at[:max(strings.LastIndexAny(at, ".["), 0)]
	}
	return p
}
