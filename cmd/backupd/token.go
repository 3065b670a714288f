package main

import (
	"fmt"
	"io"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
	"github.com/sitebackup/sitebackup/httpapi"
)

type tokenCmd struct {
	New tokenNewCmd `cmd:"" help:"Make a token, and print it, once, with the configuration entry that admits it."`
}

type tokenNewCmd struct {
	Name   string   `required:"" placeholder:"NAME" help:"Name of its holder: 1 to 64 letters, digits and ._-; the server logs it with each request."`
	Scopes []string `name:"scope" placeholder:"SCOPE" help:"What it allows: read, write or admin; may be given more than once. Defaults to read."`
	Users  []string `name:"user" sep:"none" placeholder:"PATTERN" help:"Users whose backups it gives access to, with * for any characters; may be given more than once. Defaults to all."`
	Sites  []string `name:"site" sep:"none" placeholder:"PATTERN" help:"Sites whose backups it gives access to, likewise."`
}

// Run prints the token and its entry. Nothing keeps the token.
func (n *tokenNewCmd) Run(sys *system) error {
	secret := httpapi.NewToken()
	if len(n.Scopes) == 0 {
		n.Scopes = []string{"read"}
	}
	token := httpapi.Token{Name: n.Name, SHA256: httpapi.HashToken(secret), Users: n.Users, Sites: n.Sites}
	for _, name := range n.Scopes {
		scope, err := httpapi.ParseScope(name)
		if err != nil {
			return usage("--scope: %w", err)
		}
		token.Scopes |= scope
	}
	if err := token.Validate(); err != nil {
		return usage("token: %w", err)
	}
	slices.Sort(n.Scopes)
	entry := config.Token{Name: n.Name, SHA256: token.SHA256, Scopes: slices.Compact(n.Scopes), Users: n.Users, Sites: n.Sites}
	return printToken(sys.out, secret, &entry)
}

// printToken writes YAML: the token is in a comment, so that all of it may go
// through a tool that reads YAML, and none of it by itself into a file in use.
func printToken(out io.Writer, secret string, entry *config.Token) error {
	if _, err := fmt.Fprintf(out, "# The token, which is not shown again:\n# %s\n# Its entry for the configuration file:\n", secret); err != nil {
		return err
	}
	enc := yaml.NewEncoder(out)
	enc.SetIndent(2)
	if err := enc.Encode(map[string]config.API{"api": {Tokens: []config.Token{*entry}}}); err != nil {
		return fmt.Errorf("write token: %w", err)
	}
	return enc.Close()
}
