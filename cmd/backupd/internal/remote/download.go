package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi/client"
)

// ManifestName is the manifest's file in a directory that Download made. Its
// exports are files named by their providers.
const ManifestName = "manifest.json"

const maxManifest = 256 << 20

// ErrDamaged means that what the server has of an export isn't what was stored.
var ErrDamaged = errors.New("the copy is damaged")

// errLocal is what went wrong on this machine: trying again is of no use.
var errLocal = errors.New("on this machine")

func local(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errLocal, err)
}

// Download copies a whole backup into a directory, which it makes. What is there
// of the same backup already is kept where its SHA-256 is right, and a file that
// was cut is gone on with. The manifest is written last: without it, the copy isn't
// whole. Where neither a manifest nor a file that was cut shows that the directory is
// such a copy, no file of another content is replaced. It shows how many bytes of each
// export there are.
func Download(ctx context.Context, c *client.Client, id, dir string, show func(provider string, have, size int64)) (*backup.Manifest, error) {
	data, m, err := manifest(ctx, c, id)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, ManifestName)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	all := make([]*download, len(m.Objects))
	for i := range m.Objects {
		o := &m.Objects[i]
		all[i] = &download{client: c, id: id, object: o, path: filepath.Join(dir, o.Provider), show: func(n int64) { show(o.Provider, n, o.Size) }}
	}
	switch there, err := os.ReadFile(path); {
	case err == nil && !bytes.Equal(there, data):
		return nil, fmt.Errorf("%s is of another backup: choose an empty directory", path)
	case errors.Is(err, fs.ErrNotExist):
		if err := spare(ctx, all); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	}
	for _, d := range all {
		if err := d.run(ctx); err != nil {
			return nil, fmt.Errorf("download %s: %w", d.object.Provider, err)
		}
	}
	return m, writeFile(path, data)
}

// spare refuses to replace files of a directory in which no download was begun.
func spare(ctx context.Context, all []*download) error {
	for _, d := range all {
		if _, err := os.Stat(d.path + partSuffix); err == nil {
			return nil
		}
	}
	for _, d := range all {
		switch whole, err := d.there(ctx); {
		case err != nil:
			return err
		case !whole && d.have >= 0:
			return fmt.Errorf("%s is there already, and no download has left it: choose an empty directory", d.path)
		}
	}
	return nil
}

// manifest gets a manifest, and doesn't trust the server with the names of files.
func manifest(ctx context.Context, c *client.Client, id string) ([]byte, *backup.Manifest, error) {
	res, err := client.Open(c.GetManifest(ctx, id, nil))
	if err != nil {
		return nil, nil, err
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxManifest)) //nolint:forbidigo // bounded
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return nil, nil, fmt.Errorf("read manifest: %w", err)
	}
	m := new(backup.Manifest)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, nil, fmt.Errorf("read manifest: %w", err)
	}
	if m.Version != backup.ManifestVersion || !strings.EqualFold(m.BackupID, id) {
		return nil, nil, fmt.Errorf("read manifest: it is version %d of backup %q, which this release can't download as %q", m.Version, m.BackupID, id)
	}
	for i := range m.Objects {
		if err := backup.ValidateProviderName(m.Objects[i].Provider); err != nil {
			return nil, nil, fmt.Errorf("read manifest: %w", err)
		}
	}
	return data, m, nil
}

// writeFile writes a file that is there as a whole, or not at all.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".manifest-")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
