package fileblob

import (
	"context"
	"os"
	"time"
)

// HashOf is hashOf.
var HashOf = hashOf

// SetNow sets the clock of s.
func SetNow(s *Store, now func() time.Time) { s.now = now }

// SetSync sets what s does to sync a directory.
func SetSync(s *Store, sync func(*os.File) error) { s.sync = sync }

// MakeDir is makeDir.
var MakeDir = makeDir

// Lock takes the lock of a key.
func (s *Store) Lock(ctx context.Context, key string) (unlock func(), err error) {
	return s.lock(ctx, key)
}

// Look calls read with what look sees.
func (s *Store) Look(ctx context.Context, key string, read func(size int64, metadata map[string]string)) error {
	return s.look(ctx, key, func(info os.FileInfo, c *sidecar) error {
		read(info.Size(), c.Metadata)
		return nil
	})
}
