package demo

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi"
)

// partsShown is how many parts of an object are printed.
const partsShown = 2

// printManifest leaves out most of what it has of parts.
func (d *demo) printManifest(m *backup.Manifest) error {
	short := *m
	short.Objects = append([]backup.ManifestObject(nil), m.Objects...)
	cut := false
	for i := range short.Objects {
		if o := &short.Objects[i]; len(o.Parts) > partsShown {
			o.Parts, cut = o.Parts[:partsShown], true
		}
	}
	data, err := json.MarshalIndent(short, "", "  ")
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	note := ""
	if cut {
		note = fmt.Sprintf(" (here with the first %d parts of each object only)", partsShown)
	}
	d.printf("\nThe manifest%s:\n%s\n", note, data)
	return nil
}

// printPlaces says where everything is.
func (d *demo) printPlaces(b *httpapi.Backup) {
	p, url := &d.places, d.app.URL
	d.printf("\nManifest     %s\n", d.place(b.ManifestKey))
	d.printf("Objects      %s\n", d.place(filepath.Dir(b.ManifestKey)))
	database := p.postgres.URL
	if d.Database != "" {
		database = "DATABASE_URL" // its password is not for the screen
	}
	d.printf("Database     %s, schema %s\n", database, p.schema)
	d.printf("River UI     %s/riverui/\nOpenAPI      %[1]s/openapi.json\n", url)
	d.printf(`
curl --location '%s/backup' \
--header 'Content-Type: application/json' \
--data '{
    "userId": "%s",
    "siteId": "%s"
}'
curl --location '%[1]s/backup/%[4]s'
`, url, userID, siteID, b.ID)
}

// place is where a key is to be found.
func (d *demo) place(key string) string {
	if d.Azurite {
		return d.app.Store.String() + "/" + key
	}
	return filepath.Join(d.places.dir, filepath.FromSlash(key))
}
