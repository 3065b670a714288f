package config

import (
	"fmt"
	"io"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Print writes what is in effect, in the form of a file. What came from the
// environment by a reference stays one, whether it is a secret or not.
func (f *File) Print(w io.Writer) error {
	var root yaml.Node
	if err := root.Encode(f); err != nil {
		return fmt.Errorf("encode configuration: %w", err)
	}
	f.putReferences(&root, "")
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(&root); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return enc.Close()
}

func (f *File) putReferences(node *yaml.Node, path string) {
	if ref, ok := f.refs[path]; ok {
		*node = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: ref}
		return
	}
	for i, child := range node.Content {
		switch {
		case node.Kind == yaml.SequenceNode:
			f.putReferences(child, path+"["+strconv.Itoa(i)+"]")
		case i%2 == 1: // a mapping's value
			f.putReferences(child, join(path, node.Content[i-1].Value))
		}
	}
}
