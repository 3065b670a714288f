package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

const maxFile = 1 << 20

// Environment is os.LookupEnv, or a test's.
type Environment func(name string) (string, bool)

// Override is a value that a flag gives in place of the file's.
type Override struct {
	Path  string // "server.listen"
	Flag  string // "--listen"
	Value string
}

// Load reads the file at path, with everything that is wrong with it. The File
// has the parts that are right. A path of "" stands for an empty file.
func Load(path string, env Environment, overrides ...Override) (*File, Problems) {
	f := &File{
		name: path, lines: make(map[string]int), flags: make(map[string]string),
		refs: make(map[string]string), bad: make(map[string]bool),
	}
	var data []byte
	if path != "" {
		var err error
		if data, err = read(path); err != nil {
			return f, Problems{{Text: err.Error()}}
		}
	}
	return parse(f, data, env, overrides)
}

func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s: say where it is with --config or BACKUPD_CONFIG", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer func() { _ = file.Close() }()                      // it was only read
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1)) //nolint:forbidigo // bounded
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("read %s: must have at most %s", path, Size(maxFile))
	}
	return data, nil
}

func parse(f *File, data []byte, env Environment, overrides []Override) (*File, Problems) {
	var doc yaml.Node
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	if err := dec.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return f, Problems{syntaxProblem(f, err)}
	}
	d := &decoder{file: f, env: env}
	if len(doc.Content) > 0 {
		d.value(doc.Content[0], reflect.ValueOf(f).Elem(), "")
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		d.problems = append(d.problems, Problem{File: f.name, Text: "must be a single YAML document"})
	}
	for _, o := range overrides {
		d.override(o)
	}
	f.defaults(env)
	problems := slices.Concat(d.problems, f.check())
	problems.Sort()
	return f, problems
}

var syntaxRE = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

func syntaxProblem(f *File, err error) Problem {
	m := syntaxRE.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
	if m == nil {
		return Problem{File: f.name, Text: "is not valid YAML"}
	}
	line, _ := strconv.Atoi(m[1]) // 0 where there is none
	return Problem{File: f.name, Line: line, Text: "is not valid YAML: " + m[2]}
}

// defaults fills in what is used by more than one place.
func (f *File) defaults(env Environment) {
	if url, ok := env("DATABASE_URL"); ok && url != "" && f.Database.URL.IsZero() && f.lines["database.url"] == 0 {
		f.Database.URL = Secret{value: url, ref: "${env:DATABASE_URL}"}
	}
	setDefault(&f.Database.Schema, "backup")
	setDefault(&f.Database.Wait, Duration(30*time.Second))
	setDefault(&f.Server.Listen, "localhost:3000")
	setDefault(&f.Log.Level, "info")
	setDefault(&f.Log.Format, "text")
	for i := range f.Providers {
		setDefault(&f.Providers[i].Type, "http")
	}
}

func setDefault[T comparable](to *T, value T) {
	var zero T
	if *to == zero {
		*to = value
	}
}
