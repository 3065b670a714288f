package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// expectInfo checks content type and metadata.
func (b *bench) expectInfo(ctx context.Context, key string, want blob.Info) error {
	obj, err := b.Stat(ctx, key)
	if err != nil {
		return err
	}
	if want.ContentType != "" && obj.ContentType != want.ContentType {
		return fmt.Errorf("content type is %q, want %q", obj.ContentType, want.ContentType)
	}
	if !maps.Equal(obj.Metadata, want.Metadata) {
		return fmt.Errorf("metadata is %q, want %q", obj.Metadata, want.Metadata)
	}
	return nil
}

// checkNotFound: nothing is found where nothing is, next to an object too, and
// at what might be its directory.
func checkNotFound(ctx context.Context, b *bench) error {
	if err := b.put(ctx, b.key("dir/object"), blob.Info{}, []byte("x")); err != nil {
		return err
	}
	for _, name := range []string{"nothing", "dir/nothing", "dir/object/nothing", "dir/objec", "nodir/nothing"} {
		if err := b.expectNothing(ctx, b.key(name)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	_, err := b.Stat(ctx, b.key("dir"))
	return expect("Stat of a directory", err, blob.ErrNotFound)
}

// checkRanges: any part of an object can be read.
func checkRanges(ctx context.Context, b *bench) error {
	key := b.key("object")
	data := randomBytes(100_000)
	if err := b.put(ctx, key, blob.Info{}, data[:60_000], data[60_000:]); err != nil {
		return err
	}
	size := int64(len(data))
	for _, r := range [][2]int64{
		{0, -1}, {0, size}, {0, 1}, {0, 0}, {1, 59_999}, {59_999, 2}, {60_000, 1},
		{12_345, -1}, {size - 1, -1}, {size - 1, 1}, {size, -1}, {size, 0}, {500, 0},
	} {
		want := data[r[0]:]
		if r[1] >= 0 {
			want = want[:r[1]]
		}
		got, err := b.read(ctx, key, r[0], r[1])
		if err != nil || !bytes.Equal(got, want) {
			return fmt.Errorf("%d bytes at %d: got %d bytes, the right ones: %t: %w", r[1], r[0], len(got), bytes.Equal(got, want), orNil(err))
		}
	}
	for _, r := range [][2]int64{{0, size + 1}, {size - 1, 2}, {size, 1}, {size + 1, -1}, {size + 10, 1}} {
		_, err := b.read(ctx, key, r[0], r[1])
		if err := expect(fmt.Sprintf("%d bytes at %d", r[1], r[0]), err, io.ErrUnexpectedEOF); err != nil {
			return err
		}
	}
	_, err := b.read(ctx, b.key("nothing"), 0, 0)
	return expect("Open of an object that isn't there", err, blob.ErrNotFound)
}

// checkMetadata: content type and metadata come back as they were given.
func checkMetadata(ctx context.Context, b *bench) error {
	infos := map[string]blob.Info{
		"none": {},
		"engine": {ContentType: "application/x-ndjson", Metadata: map[string]string{
			"uploadid": strings.Repeat("0123456789abcdef", 2),
			"sha256":   strings.Repeat("0123456789abcdef", 4),
			"size":     "18446744073709551615",
		}},
		"odd": {ContentType: "text/plain; charset=utf-8", Metadata: map[string]string{
			"a": "x", "z9": `!"#$%&'()*+,-./:;<=>?@[\]^_{|}~`, "with": "one two", "long": strings.Repeat("v", 2000),
		}},
	}
	for _, name := range slices.Sorted(maps.Keys(infos)) {
		err := first(
			b.put(ctx, b.key(name), infos[name], []byte(name)),
			b.expectInfo(ctx, b.key(name), infos[name]),
		)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// oddKeys are keys that a store might take for something else.
var oddKeys = []string{
	"%2F", "%2f", "%20a", "%", "a%00b", "~a", "a~", "a+b", "a=b", "a&b", "a@b", "a:b", "a;b", "a,b", "a*b", "a'b", `a"b`,
	"a?b", "a#b", "a!b", "a|b", "a<b>", "a(b)", "a[b]", "a{b}", "a^b`", "$a", "-a", "_a", ".a", "..a", "a..b", ".staging", ".meta", ".tmp-a",
	"a.json", "a.meta", "a.tmp", "lock", "UPPER", "upper", "658683afc91423af04d82152/x%3Fy/0197f0a1-0000-7000-8000-000000000000",
}

// checkOddKeys: a key is taken as it is.
func checkOddKeys(ctx context.Context, b *bench) error {
	keys := []string{longKey(b.key("l"), blob.MaxKeyLen)}
	for _, k := range oddKeys {
		keys = append(keys, b.key(k))
	}
	for _, k := range keys {
		if err := b.put(ctx, k, blob.Info{Metadata: map[string]string{"x": "y"}}, []byte(k)); err != nil {
			return fmt.Errorf("%q: %w", k, err)
		}
	}
	for _, k := range keys {
		if err := b.expectContent(ctx, k, []byte(k)); err != nil {
			return fmt.Errorf("%q: %w", k, err)
		}
	}
	slices.Sort(keys)
	got, err := b.list(ctx, b.key(""))
	if err == nil && !slices.Equal(got, keys) {
		err = fmt.Errorf("List yields %q, want %q", got, keys)
	}
	return err
}

// checkBadKeys: what is no key is refused by every method.
func checkBadKeys(ctx context.Context, b *bench) error {
	bad := []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/../b", "./a", "a/.", "a b", "a\x00b", "a\nb", `a\b`, "ä",
		longKey("k", blob.MaxKeyLen+1),
	}
	part := b.part(0, []byte("x"))
	for _, key := range bad {
		_, staged := b.StagedParts(ctx, key)
		_, opened := b.Open(ctx, key, 0, -1)
		_, found := b.Stat(ctx, key)
		for what, err := range map[string]error{
			"StagePart":   b.StagePart(ctx, key, part, []byte("x")),
			"StagedParts": staged,
			"Commit":      b.Commit(ctx, key, nil, blob.Info{}),
			"Open":        opened,
			"Stat":        found,
			"Delete":      b.Delete(ctx, key),
			"Abort":       b.Abort(ctx, key),
		} {
			if err == nil || errors.Is(err, blob.ErrNotFound) {
				return fmt.Errorf("%s takes %q for a key", what, key)
			}
		}
	}
	return nil
}

// checkCanceled: with a context that has ended no method does anything.
func checkCanceled(ctx context.Context, b *bench) error {
	key := b.key("object")
	data := []byte("x")
	if err := b.put(ctx, key, blob.Info{}, data); err != nil {
		return err
	}
	ended, cancel := context.WithCancel(ctx)
	body, err := b.Open(ended, key, 0, -1)
	if err != nil {
		cancel()
		return err
	}
	cancel()
	_, staged := b.StagedParts(ended, key)
	_, opened := b.Open(ended, key, 0, -1)
	_, found := b.Stat(ended, key)
	_, listed := b.list(ended, b.key(""))
	_, parts := b.CommittedParts(ended, key)
	for what, err := range map[string]error{
		"StagePart":      b.StagePart(ended, b.key("new"), b.part(0, data), data),
		"StagedParts":    staged,
		"Commit":         b.Commit(ended, b.key("new"), nil, blob.Info{}),
		"CommittedParts": parts,
		"Open":           opened,
		"Stat":           found,
		"List":           listed,
		"Delete":         b.Delete(ended, key),
		"Abort":          b.Abort(ended, key),
		"Check":          b.Check(ended),
	} {
		if what == "CommittedParts" && errors.Is(err, errors.ErrUnsupported) || what == "Abort" && err == nil {
			continue // there may be nothing to do
		}
		if err := expect(what, err, context.Canceled); err != nil {
			return err
		}
	}
	return first(body.Close(), b.expectNothing(ctx, b.key("new")), b.expectContent(ctx, key, data))
}
