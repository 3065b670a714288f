package blobtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// checkList: objects come in the order of their keys, by any prefix, and with
// their sizes.
func checkList(ctx context.Context, b *bench) error {
	names := []string{"a!b", "a-b", "a.b", "a/b", "a/c/d", "a/c.d", "a0b", "ab", "b", "A", "z/z/z"}
	for _, name := range names {
		if err := b.put(ctx, b.key(name), blob.Info{}, []byte(name)); err != nil {
			return err
		}
	}
	// What is only staged isn't listed.
	if _, err := b.stage(ctx, b.key("a/staged"), []byte("x")); err != nil {
		return err
	}
	slices.Sort(names)
	for _, prefix := range []string{"", "a", "a/", "a/c", "a/c/", "a/c/d", "a/c/d/", "a.", "ab", "abc", "z/z", "A", "nothing/", "a//", "a/../"} {
		var want []string
		for _, name := range names {
			if strings.HasPrefix(name, prefix) {
				want = append(want, name)
			}
		}
		if err := b.expectList(ctx, prefix, want); err != nil {
			return fmt.Errorf("List %q: %w", prefix, err)
		}
	}
	return nil
}

func (b *bench) expectList(ctx context.Context, prefix string, want []string) error {
	var got []string
	for obj, err := range b.List(ctx, b.key(prefix)) {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(obj.Key, b.key(""))
		if obj.Size != int64(len(name)) || obj.LastModified.IsZero() {
			return fmt.Errorf("it says %d bytes of %s for %q", obj.Size, obj.LastModified, name)
		}
		got = append(got, name)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("it yields %q, want %q", got, want)
	}
	return nil
}

// checkListStops: the caller may stop in between, and a sequence may be ranged
// over again.
func checkListStops(ctx context.Context, b *bench) error {
	for _, name := range []string{"a/1", "a/2", "b/1"} {
		if err := b.put(ctx, b.key(name), blob.Info{}, []byte("x")); err != nil {
			return err
		}
	}
	seq := b.List(ctx, b.key(""))
	for range 2 {
		n := 0
		for _, err := range seq {
			if err != nil {
				return err
			}
			if n++; n == 2 {
				break
			}
		}
		if n != 2 {
			return fmt.Errorf("List has yielded %d objects before the second", n)
		}
	}
	return nil
}

// checkDeleteTwice: what isn't there can be deleted, and others stay.
func checkDeleteTwice(ctx context.Context, b *bench) error {
	one, two := b.key("dir/one"), b.key("dir/two")
	return first(
		b.Delete(ctx, one),
		b.put(ctx, one, blob.Info{}, []byte("1")),
		b.put(ctx, two, blob.Info{}, []byte("2")),
		b.Delete(ctx, one),
		b.expectNothing(ctx, one),
		b.Delete(ctx, one),
		b.Delete(ctx, b.key("dir/one/below")),
		b.Delete(ctx, b.key("dir")),
		b.expectContent(ctx, two, []byte("2")),
	)
}

// checkDeleteThenCommit: a key can be used again, and nothing of the old object
// is left.
func checkDeleteThenCommit(ctx context.Context, b *bench) error {
	key := b.key("dir/object")
	older := blob.Info{ContentType: "text/plain", Metadata: map[string]string{"old": "1"}}
	newer := blob.Info{ContentType: "text/html", Metadata: map[string]string{"new": "2"}}
	for range 3 {
		err := first(
			b.put(ctx, key, older, []byte("older")),
			b.expectInfo(ctx, key, older),
			b.Delete(ctx, key),
			b.put(ctx, key, newer, []byte("new")),
			b.expectInfo(ctx, key, newer),
			b.expectContent(ctx, key, []byte("new")),
			b.Delete(ctx, key),
			b.expectNothing(ctx, key),
		)
		if err != nil {
			return err
		}
	}
	return nil
}

// checkDeleteLeavesParts: deleting an object that isn't there does nothing to
// the parts that are staged for it.
func checkDeleteLeavesParts(ctx context.Context, b *bench) error {
	key := b.key("object")
	data := randomBytes(1000)
	parts, err := b.stage(ctx, key, data)
	if err != nil {
		return err
	}
	return first(
		b.Delete(ctx, key),
		b.expectStaged(ctx, key, parts...),
		b.Commit(ctx, key, parts, blob.Info{}),
		b.expectContent(ctx, key, data),
	)
}

// checkAbortIsHarmless: Abort shows nothing and touches no object.
func checkAbortIsHarmless(ctx context.Context, b *bench) error {
	key := b.key("object")
	if err := b.Abort(ctx, key); err != nil {
		return err
	}
	parts, err := b.stage(ctx, key, []byte("x"))
	if err != nil {
		return err
	}
	if err := first(b.Abort(ctx, key), b.expectNothing(ctx, key)); err != nil {
		return err
	}
	if err := b.Commit(ctx, key, parts, blob.Info{}); err != nil && !errors.Is(err, blob.ErrPartMissing) {
		return fmt.Errorf("Commit after Abort: %w, want none or ErrPartMissing", err)
	}
	info := blob.Info{Metadata: map[string]string{"a": "b"}}
	return first(
		b.Delete(ctx, key),
		b.put(ctx, key, info, []byte("y")),
		b.Abort(ctx, key),
		b.expectContent(ctx, key, []byte("y")),
		b.expectInfo(ctx, key, info),
	)
}

// checkAbortThenUpload: a key can be uploaded to after Abort.
func checkAbortThenUpload(ctx context.Context, b *bench) error {
	key := b.key("object")
	if _, err := b.stage(ctx, key, randomBytes(10), randomBytes(20)); err != nil {
		return err
	}
	data := randomBytes(30)
	return first(
		b.Abort(ctx, key),
		b.put(ctx, key, blob.Info{}, data),
		b.expectContent(ctx, key, data),
	)
}
