package config

import (
	"encoding"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decoder fills a File from YAML. Unlike yaml's own it goes on behind a problem,
// and notes where each key stands.
type decoder struct {
	file     *File
	env      func(string) (string, bool)
	problems Problems
}

func (d *decoder) fail(node *yaml.Node, path, format string, args ...any) {
	d.file.bad[path] = true
	p := d.file.Problem(path, format, args...)
	p.Line = node.Line
	d.problems = append(d.problems, p)
}

// override sets a value that no list is on the way to.
func (d *decoder) override(o Override) {
	d.file.flags[o.Path] = o.Flag
	delete(d.file.refs, o.Path)
	v := reflect.ValueOf(d.file).Elem()
	for key := range strings.SplitSeq(o.Path, ".") {
		v = structFields(v)[key]
	}
	d.value(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: o.Value}, v, o.Path)
}

func (d *decoder) value(node *yaml.Node, v reflect.Value, path string) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.ShortTag() == "!!null" {
		return
	}
	switch to := v.Addr().Interface().(type) {
	case *Secret:
		d.secret(node, to, path)
		return
	case *List:
		d.list(node, to, path)
		return
	case encoding.TextUnmarshaler:
		if text, ok := d.text(node, path); ok {
			if err := to.UnmarshalText([]byte(text)); err != nil {
				d.fail(node, path, "%s", err)
			}
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(node, v.Elem(), path)
	case reflect.Struct:
		d.mapping(node, path, structFields(v))
	case reflect.Slice:
		d.sequence(node, v, path)
	case reflect.Map:
		d.stringMap(node, v, path)
	default:
		d.word(node, v, path)
	}
}

// structFields are the fields of a struct by their keys.
func structFields(v reflect.Value) map[string]reflect.Value {
	fields := make(map[string]reflect.Value, v.NumField())
	for i := range v.NumField() {
		if key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ","); key != "" {
			fields[key] = v.Field(i)
		}
	}
	return fields
}

func (d *decoder) mapping(node *yaml.Node, path string, fields map[string]reflect.Value) {
	if node.Kind != yaml.MappingNode {
		d.fail(node, path, "must be a mapping of keys to values")
		return
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		at := join(path, key.Value)
		field, known := fields[key.Value]
		switch {
		case seen[key.Value]:
			d.fail(key, at, "is there twice")
		case !known:
			d.fail(key, at, "unknown key")
		default:
			d.file.lines[at] = key.Line
			d.value(value, field, at)
		}
		seen[key.Value] = true
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (d *decoder) sequence(node *yaml.Node, v reflect.Value, path string) {
	if node.Kind != yaml.SequenceNode {
		d.fail(node, path, "must be a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(node.Content), len(node.Content)))
	for i, item := range node.Content {
		at := path + "[" + strconv.Itoa(i) + "]"
		d.file.lines[at] = item.Line
		d.value(item, v.Index(i), at)
	}
}

func (d *decoder) stringMap(node *yaml.Node, v reflect.Value, path string) {
	m := make(map[string]string)
	fields := make(map[string]reflect.Value)
	for i := 0; i+1 < len(node.Content) && node.Kind == yaml.MappingNode; i += 2 {
		fields[node.Content[i].Value] = reflect.New(reflect.TypeFor[string]()).Elem()
	}
	d.mapping(node, path, fields)
	for key, value := range fields {
		m[key] = value.String()
	}
	v.Set(reflect.ValueOf(m))
}

func (d *decoder) list(node *yaml.Node, to *List, path string) {
	if node.Kind == yaml.ScalarNode {
		if text, ok := d.text(node, path); ok {
			*to = List{text}
		}
		return
	}
	var items []string
	d.sequence(node, reflect.ValueOf(&items).Elem(), path)
	*to = items
}

func (d *decoder) word(node *yaml.Node, v reflect.Value, path string) {
	text, ok := d.text(node, path)
	if !ok {
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		if text != "true" && text != "false" {
			d.fail(node, path, "must be true or false, not %q", text)
		}
		v.SetBool(text == "true")
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			d.fail(node, path, "must be a whole number, not %q", text)
		}
		v.SetInt(int64(n))
	default:
		v.SetString(text)
	}
}

func (d *decoder) secret(node *yaml.Node, to *Secret, path string) {
	if text, ok := d.text(node, path); ok {
		*to = Secret{value: text}
		if name, _ := reference(node.Value); name != "" {
			to.ref = node.Value
		}
	}
}

// text is the scalar's text, or that of the environment variable it refers to.
func (d *decoder) text(node *yaml.Node, path string) (string, bool) {
	if node.Kind != yaml.ScalarNode {
		d.fail(node, path, "must be a single value")
		return "", false
	}
	name, malformed := reference(node.Value)
	switch {
	case malformed:
		d.fail(node, path, "a reference such as ${env:NAME} must be the whole value")
		return "", false
	case name == "":
		return node.Value, true
	}
	text, ok := d.env(name)
	if !ok || text == "" {
		d.fail(node, path, "the environment variable %s is not set", name)
		d.problems[len(d.problems)-1].unset = true
		return "", false
	}
	d.file.refs[path] = node.Value
	return text, true
}

var referenceRE = regexp.MustCompile(`^\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}$`)

// reference is the name that text refers to, or "".
func reference(text string) (name string, malformed bool) {
	if m := referenceRE.FindStringSubmatch(text); m != nil {
		return m[1], false
	}
	return "", strings.Contains(text, "${")
}
