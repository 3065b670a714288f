package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// checkCheck: a store that works says so, and its name has no secrets.
func checkCheck(ctx context.Context, b *bench) error {
	if name := b.String(); name == "" || strings.ContainsAny(name, "?\n") || strings.Contains(name, "sig=") {
		return fmt.Errorf("the store's name is %q, want a URL without a query", name)
	}
	return b.Check(ctx)
}

// checkStagedIsInvisible: staging shows nothing, and the parts are listed.
func checkStagedIsInvisible(ctx context.Context, b *bench) error {
	key := b.key("object")
	parts, err := b.stage(ctx, key, randomBytes(3000), randomBytes(1), randomBytes(70_000))
	if err != nil {
		return err
	}
	return first(b.expectNothing(ctx, key), b.expectStaged(ctx, key, parts...))
}

// checkStagedPartsOfNothing: no staged parts are no error.
func checkStagedPartsOfNothing(ctx context.Context, b *bench) error {
	return b.expectStaged(ctx, b.key("object"))
}

// checkStageAgainReplaces: of a part that is staged twice the last bytes count,
// also if they are more or fewer.
func checkStageAgainReplaces(ctx context.Context, b *bench) error {
	key := b.key("object")
	if _, err := b.stage(ctx, key, randomBytes(5000), randomBytes(10), randomBytes(600)); err != nil {
		return err
	}
	last := [][]byte{randomBytes(5000), randomBytes(4000), randomBytes(1)}
	parts, err := b.stage(ctx, key, last...)
	if err != nil {
		return err
	}
	return first(
		b.expectStaged(ctx, key, parts...),
		b.Commit(ctx, key, parts, blob.Info{}),
		b.expectContent(ctx, key, last...),
	)
}

// checkStageKeepsNoData: the caller may use the memory again.
func checkStageKeepsNoData(ctx context.Context, b *bench) error {
	key := b.key("object")
	var parts []blob.Part
	var want [][]byte
	memory := make([]byte, 100_000)
	for i := range 5 {
		copy(memory, randomBytes(len(memory)))
		want = append(want, bytes.Clone(memory))
		parts = append(parts, b.part(i, memory))
		if err := b.StagePart(ctx, key, parts[i], memory); err != nil {
			return err
		}
		clear(memory)
	}
	return first(b.Commit(ctx, key, parts, blob.Info{}), b.expectContent(ctx, key, want...))
}

// checkStageRefusesChecksum: bytes that don't match aren't staged.
func checkStageRefusesChecksum(ctx context.Context, b *bench) error {
	key := b.key("object")
	data := randomBytes(100_000)
	part := b.part(0, data)
	data[50_000] ^= 1
	err := b.StagePart(ctx, key, part, data)
	if err := expect("StagePart of a damaged part", err, blob.ErrChecksum); err != nil {
		return err
	}
	if err := b.expectStaged(ctx, key); err != nil {
		return err
	}
	data[50_000] ^= 1
	return first(b.StagePart(ctx, key, part, data), b.expectStaged(ctx, key, part))
}

// checkStageRefusesSize: a part that says it has another size, or none.
func checkStageRefusesSize(ctx context.Context, b *bench) error {
	key := b.key("object")
	data := randomBytes(100)
	part := b.part(0, data)
	part.Size = 99
	if b.StagePart(ctx, key, part, data) == nil {
		return errors.New("a part of 99 bytes was staged with 100")
	}
	if b.StagePart(ctx, key, b.part(1, nil), nil) == nil {
		return errors.New("an empty part was staged")
	}
	return b.expectStaged(ctx, key)
}

// checkStageConcurrently: parts of one object may be staged at the same time.
func checkStageConcurrently(ctx context.Context, b *bench) error {
	const workers, each = 8, 4
	key := b.key("object")
	parts := make([]blob.Part, workers*each)
	want := make([][]byte, workers*each)
	errs := make([]error, workers)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := w; i < len(parts); i += workers {
				want[i] = randomBytes(10_000 + i)
				parts[i] = b.part(i, want[i])
				errs[w] = errors.Join(errs[w], b.StagePart(ctx, key, parts[i], want[i]))
			}
		})
	}
	group.Wait()
	return first(
		errors.Join(errs...),
		b.expectStaged(ctx, key, parts...),
		b.Commit(ctx, key, parts, blob.Info{}),
		b.expectContent(ctx, key, want...),
	)
}

// checkKeysAreSeparate: parts belong to one key, even with equal ids.
func checkKeysAreSeparate(ctx context.Context, b *bench) error {
	one, two := b.key("one"), b.key("two")
	data := [][]byte{randomBytes(1000), randomBytes(2000)}
	parts1, err := b.stage(ctx, one, data[0])
	if err != nil {
		return err
	}
	parts2, err := b.stage(ctx, two, data[1])
	if err != nil {
		return err
	}
	return first(
		b.expectStaged(ctx, one, parts1...),
		b.Commit(ctx, one, parts1, blob.Info{}),
		b.expectContent(ctx, one, data[0]),
		b.expectNothing(ctx, two),
		b.expectStaged(ctx, two, parts2...),
		b.Commit(ctx, two, parts2, blob.Info{}),
		b.expectContent(ctx, two, data[1]),
	)
}
