package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/dustin/go-humanize/english"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/cmd/backupd/internal/app"
	"github.com/sitebackup/sitebackup/cmd/backupd/internal/remote"
)

type verifyCmd struct {
	Offline  bool    `help:"Use the copy alone, without a server or a database. --dir and --manifest imply it. To verify through a server, use backupd backup verify."`
	Dir      string  `placeholder:"DIR" help:"A directory made by backupd backup download."`
	Manifest string  `placeholder:"KEY" help:"Instead of --dir: the key of a manifest in the configured destination, such as user/site/backup/manifest.json."`
	Sample   float64 `default:"1" help:"The share of each export that is read: more than 0, and at most 1, which reads everything."`
	Output   string  `short:"o" enum:"text,json" default:"text" help:"Output format: text or json."`
}

// Run compares a copy with its manifest, as the workers do.
func (v *verifyCmd) Run(ctx context.Context, sys *system, c *cli) error {
	if !(v.Sample > 0 && v.Sample <= 1) { // also not a number
		return usage("--sample must be more than 0 and at most 1")
	}
	store, key, err := v.open(ctx, sys, c)
	if err != nil {
		return err
	}
	found, err := backup.VerifyCopy(ctx, store, key, nil, backup.VerifyParams{Sample: v.Sample})
	if err != nil {
		return err
	}
	if v.Dir != "" {
		if err := unnamed(v.Dir, found); err != nil {
			return err
		}
	}
	if err := v.print(sys, found); err != nil {
		return err
	}
	for _, p := range found.Problems {
		if p.Provider == "" && p.What == backup.CorruptMissing {
			return &statusError{statusNotFound, fmt.Errorf("there is no manifest %s: without one there is no backup", key)}
		}
	}
	if len(found.Problems) > 0 {
		return &statusError{statusBad, errors.New("the copy is damaged")}
	}
	return nil
}

// unnamed adds the exports in a directory that its manifest doesn't name: one was
// taken out of it, or it is another backup's.
func unnamed(dir string, found *backup.Verification) error {
	names, err := remote.Unnamed(dir)
	for _, name := range names {
		found.Problems = append(found.Problems, &backup.CorruptError{
			Key: remote.ManifestName, What: backup.CorruptManifest, Want: "one that names each export in the directory", Got: fmt.Sprintf("one without %q", name),
		})
	}
	return err
}

func (v *verifyCmd) open(ctx context.Context, sys *system, c *cli) (blob.Store, string, error) {
	if (v.Dir == "") == (v.Manifest == "") {
		return nil, "", usage("one of --dir and --manifest must be given")
	}
	if v.Dir != "" {
		return remote.Folder{Dir: v.Dir}, remote.ManifestName, nil
	}
	if err := blob.ValidateKey(v.Manifest); err != nil {
		return nil, "", usage("--manifest: %w", err)
	}
	f, problems := c.load(sys)
	if err := problems.WithoutUnset("database", "providers", "api").Err(); err != nil {
		return nil, "", err
	}
	store, err := app.OpenStore(ctx, &f.Destination)
	return store, v.Manifest, err
}

func (v *verifyCmd) print(sys *system, found *backup.Verification) error {
	if v.Output == outputJSON {
		return printJSON(sys, found)
	}
	for _, p := range found.Problems {
		var part *int64
		if p.Part != nil {
			n := int64(*p.Part)
			part = &n
		}
		if _, err := fmt.Fprintf(sys.out, "damaged: %s\n", damageText(&p.Provider, part, p.What, p.Want, p.Got)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(sys.out, "read %s, %s, %s: %s\n", english.Plural(found.Objects, "export", ""),
		english.Plural(found.Parts, "part", ""), bytesText(found.Bytes), english.Plural(len(found.Problems), "problem", ""))
	return err
}
