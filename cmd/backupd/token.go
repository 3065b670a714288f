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
	New tokenNewCmd `cmd:"" help:"Make a token, print it once, and print the entry for the configuration file that lets it in."`
}

type tokenNewCmd struct {
	Name   string   `required:"" placeholder:"NAME" help:"Whose it is: 1 to 64 letters, digits and ._-; it is in the server's log with each request."`
	Scopes []string `name:"scope" placeholder:"SCOPE" help:"What it is for: read, write or admin; may be given more than once. Defaults to read."`
	Users  []string `name:"user" sep:"none" placeholder:"PATTERN" help:"Users whose backups it is for, with * for any characters; may be given more than once. Defaults to all."`
	Sites  []string `name:"site" sep:"none" placeholder:"PATTERN" help:"Sites whose backups it is for, likewise."`
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
			return fmt.Errorf("--scope: %w", err)
		}
		token.Scopes |= scope
	}
	if err := token.Validate(); err != nil {
		return fmt.Errorf("token: %w", err)
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
