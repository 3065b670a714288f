package blobtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// maxObject is more than any check stores.
const maxObject = 64 << 20

func randomID() (id [16]byte) {
	_, _ = rand.Read(id[:]) // it never fails
	return id
}

// randomBytes returns n bytes that nobody has seen before.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func (b *bench) key(name string) string { return b.prefix + "/" + name }

// part describes data as part index of this check's upload.
func (b *bench) part(index int, data []byte) blob.Part {
	return blob.Part{
		ID:    blob.NewPartID(b.upload, b.upload, index),
		Size:  int64(len(data)),
		CRC64: blob.Checksum(data),
	}
}

// stage stages each of data as a part.
func (b *bench) stage(ctx context.Context, key string, data ...[]byte) ([]blob.Part, error) {
	var parts []blob.Part
	for i, d := range data {
		p := b.part(i, d)
		if err := b.StagePart(ctx, key, p, d); err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// put stages and commits an object.
func (b *bench) put(ctx context.Context, key string, info blob.Info, data ...[]byte) error {
	parts, err := b.stage(ctx, key, data...)
	if err != nil {
		return err
	}
	return b.Commit(ctx, key, parts, info)
}

// read reads a range of an object to its end.
func (b *bench) read(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	body, err := b.Open(ctx, key, offset, length)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(body, maxObject)) //nolint:forbidigo // the objects of the checks are small
	return data, errors.Join(err, body.Close())
}

// expectContent checks that the object's bytes are want.
func (b *bench) expectContent(ctx context.Context, key string, want ...[]byte) error {
	got, err := b.read(ctx, key, 0, -1)
	if err != nil {
		return err
	}
	if whole := bytes.Join(want, nil); !bytes.Equal(got, whole) {
		return fmt.Errorf("object has %d bytes %.20x, want %d bytes %.20x", len(got), got, len(whole), whole)
	}
	return nil
}

// expectNothing checks that nothing is visible at the key.
func (b *bench) expectNothing(ctx context.Context, key string) error {
	if _, err := b.Stat(ctx, key); !errors.Is(err, blob.ErrNotFound) {
		return fmt.Errorf("Stat of an object that isn't there: %w, want ErrNotFound", orNil(err))
	}
	if _, err := b.read(ctx, key, 0, -1); !errors.Is(err, blob.ErrNotFound) {
		return fmt.Errorf("Open of an object that isn't there: %w, want ErrNotFound", orNil(err))
	}
	if _, err := b.CommittedParts(ctx, key); !errors.Is(err, blob.ErrNotFound) && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("CommittedParts of an object that isn't there: %w, want ErrNotFound", orNil(err))
	}
	keys, err := b.list(ctx, key)
	if err == nil && slices.Contains(keys, key) {
		err = fmt.Errorf("List yields %q, which isn't there", key)
	}
	return err
}

// list returns the keys that begin with prefix.
func (b *bench) list(ctx context.Context, prefix string) ([]string, error) {
	var keys []string
	for obj, err := range b.List(ctx, prefix) {
		if err != nil {
			return keys, err
		}
		keys = append(keys, obj.Key)
	}
	return keys, nil
}

// expectStaged checks which parts are staged for the key, in any order.
func (b *bench) expectStaged(ctx context.Context, key string, want ...blob.Part) error {
	got, err := b.StagedParts(ctx, key)
	if err != nil {
		return err
	}
	sizes := make(map[blob.PartID]int64)
	for _, p := range got {
		sizes[p.ID] = p.Size
	}
	if len(got) != len(want) || len(sizes) != len(want) {
		return fmt.Errorf("%d parts are staged, want %d", len(got), len(want))
	}
	for _, p := range want {
		if size, ok := sizes[p.ID]; !ok || size != p.Size {
			return fmt.Errorf("part %d is staged with %d bytes, want %d", p.ID.Index(), size, p.Size)
		}
	}
	return nil
}

// expect checks that err is want.
func expect(what string, err, want error) error {
	if errors.Is(err, want) {
		return nil
	}
	return fmt.Errorf("%s: %w, want %w", what, orNil(err), want)
}

var errNone = errors.New("no error")

// orNil makes an error that can be printed of none.
func orNil(err error) error {
	if err == nil {
		return errNone
	}
	return err
}

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// longKey is a key of n bytes in several segments that begins with prefix.
func longKey(prefix string, n int) string {
	var k strings.Builder
	k.WriteString(prefix)
	for k.Len() < n {
		if k.Len()%200 == 199 && k.Len() < n-1 {
			k.WriteByte('/')
		} else {
			k.WriteByte('k')
		}
	}
	return k.String()
}
