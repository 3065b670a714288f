package blobtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// checkCommitConcatenates: the object is its parts in the order of the list.
func checkCommitConcatenates(ctx context.Context, b *bench) error {
	key := b.key("object")
	data := [][]byte{randomBytes(4000), randomBytes(1), randomBytes(100_000), randomBytes(17)}
	parts := make([]blob.Part, len(data))
	for _, i := range []int{2, 0, 3, 1} {
		parts[i] = b.part(i, data[i])
		if err := b.StagePart(ctx, key, parts[i], data[i]); err != nil {
			return err
		}
	}
	order := []int{3, 1, 0, 2}
	list := make([]blob.Part, len(order))
	want := make([][]byte, len(order))
	for i, o := range order {
		list[i], want[i] = parts[o], data[o]
	}
	err := first(
		b.Commit(ctx, key, list, blob.Info{}),
		b.expectContent(ctx, key, want...),
		b.expectStaged(ctx, key),
	)
	if err != nil {
		return err
	}
	obj, err := b.Stat(ctx, key)
	if err == nil && (obj.Key != key || obj.Size != 104_018 || obj.LastModified.IsZero()) {
		err = fmt.Errorf("Stat says key %q, %d bytes, of %s", obj.Key, obj.Size, obj.LastModified)
	}
	return err
}

// checkCommitNeverReplaces: an object that is there stays as it is.
func checkCommitNeverReplaces(ctx context.Context, b *bench) error {
	key := b.key("object")
	data := randomBytes(5000)
	info := blob.Info{ContentType: "text/plain", Metadata: map[string]string{"uploadid": "1"}}
	if err := b.put(ctx, key, info, data); err != nil {
		return err
	}
	other := blob.Info{ContentType: "text/html", Metadata: map[string]string{"uploadid": "2"}}
	err := b.put(ctx, key, other, randomBytes(6000))
	return first(
		expect("Commit over an object", err, blob.ErrExists),
		expect("Commit of no parts over an object", b.Commit(ctx, key, nil, other), blob.ErrExists),
		b.expectContent(ctx, key, data),
		b.expectInfo(ctx, key, info),
	)
}

// checkCommitHasOneWinner: of commits at the same time one succeeds, and the
// object is that one's in every respect.
func checkCommitHasOneWinner(ctx context.Context, b *bench) error {
	const rounds, racers = 5, 6
	for round := range rounds {
		if err := b.race(ctx, b.key(strconv.Itoa(round)), racers); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) race(ctx context.Context, key string, racers int) error {
	type racer struct {
		parts []blob.Part
		data  []byte
		info  blob.Info
		err   error
	}
	all := make([]*racer, racers)
	for i := range all {
		data := randomBytes(20_000)
		part := b.part(i, data)
		if err := b.StagePart(ctx, key, part, data); err != nil {
			return err
		}
		info := blob.Info{Metadata: map[string]string{"racer": strconv.Itoa(i)}}
		all[i] = &racer{parts: []blob.Part{part}, data: data, info: info}
	}
	var group sync.WaitGroup
	for _, r := range all {
		group.Go(func() { r.err = b.Commit(ctx, key, r.parts, r.info) })
	}
	group.Wait()
	var winner *racer
	for _, r := range all {
		switch {
		case r.err == nil && winner != nil:
			return errors.New("two commits of one key have succeeded")
		case r.err == nil:
			winner = r
		case !errors.Is(r.err, blob.ErrExists) && !errors.Is(r.err, blob.ErrPartMissing):
			return r.err
		}
	}
	if winner == nil {
		return errors.New("none of the commits at the same time has succeeded")
	}
	return first(b.expectContent(ctx, key, winner.data), b.expectInfo(ctx, key, winner.info))
}

// checkCommitNeedsItsParts: with a part that isn't staged nothing is committed,
// and what is staged stays.
func checkCommitNeedsItsParts(ctx context.Context, b *bench) error {
	key := b.key("object")
	data := [][]byte{randomBytes(1000), randomBytes(1000)}
	parts, err := b.stage(ctx, key, data...)
	if err != nil {
		return err
	}
	none := b.part(2, randomBytes(1000))
	return first(
		expect("Commit of a missing part", b.Commit(ctx, key, append(slices.Clone(parts), none), blob.Info{}), blob.ErrPartMissing),
		b.expectNothing(ctx, key),
		expect("Commit where nothing was staged", b.Commit(ctx, b.key("other"), []blob.Part{none}, blob.Info{}), blob.ErrPartMissing),
		b.expectNothing(ctx, b.key("other")),
		b.Commit(ctx, key, parts, blob.Info{}),
		b.expectContent(ctx, key, data...),
	)
}

// checkCommitDropsOtherParts: parts that aren't named aren't in the object.
func checkCommitDropsOtherParts(ctx context.Context, b *bench) error {
	key := b.key("object")
	data := [][]byte{randomBytes(1000), randomBytes(2000), randomBytes(3000)}
	parts, err := b.stage(ctx, key, data...)
	if err != nil {
		return err
	}
	return first(
		b.Commit(ctx, key, []blob.Part{parts[0], parts[2]}, blob.Info{}),
		b.expectContent(ctx, key, data[0], data[2]),
	)
}

// checkCommitAgain: the same commit again is told that it was done.
func checkCommitAgain(ctx context.Context, b *bench) error {
	key := b.key("object")
	data := randomBytes(1000)
	parts, err := b.stage(ctx, key, data)
	if err != nil {
		return err
	}
	if err := b.Commit(ctx, key, parts, blob.Info{}); err != nil {
		return err
	}
	err = b.Commit(ctx, key, parts, blob.Info{})
	if !errors.Is(err, blob.ErrExists) && !errors.Is(err, blob.ErrPartMissing) {
		return fmt.Errorf("second Commit: %w, want ErrExists or ErrPartMissing", orNil(err))
	}
	return b.expectContent(ctx, key, data)
}

// checkCommitEmpty: no parts make an empty object.
func checkCommitEmpty(ctx context.Context, b *bench) error {
	key := b.key("object")
	info := blob.Info{ContentType: "text/plain", Metadata: map[string]string{"size": "0"}}
	return first(
		b.Commit(ctx, key, nil, info),
		b.expectContent(ctx, key),
		b.expectInfo(ctx, key, info),
		expect("Commit over an empty object", b.Commit(ctx, key, nil, info), blob.ErrExists),
	)
}

// checkCommitManyParts: more parts than a usual upload has between two journal
// writes.
func checkCommitManyParts(ctx context.Context, b *bench) error {
	data := make([][]byte, 300)
	for i := range data {
		data[i] = randomBytes(i + 1)
	}
	key := b.key("object")
	return first(b.put(ctx, key, blob.Info{}, data...), b.expectContent(ctx, key, data...))
}

// checkCommitLargeParts: parts as large as those of a real upload.
func checkCommitLargeParts(ctx context.Context, b *bench) error {
	data := [][]byte{randomBytes(8 << 20), randomBytes(8 << 20), randomBytes(16 << 20), randomBytes(4321)}
	key := b.key("object")
	return first(b.put(ctx, key, blob.Info{}, data...), b.expectContent(ctx, key, data...))
}

// checkCommittedParts: an object knows what it was committed with, or the store
// says that it doesn't keep that.
func checkCommittedParts(ctx context.Context, b *bench) error {
	key := b.key("object")
	parts, err := b.stage(ctx, key, randomBytes(10), randomBytes(2000), randomBytes(3))
	if err != nil {
		return err
	}
	slices.Reverse(parts)
	if err := b.Commit(ctx, key, parts, blob.Info{}); err != nil {
		return err
	}
	got, err := b.CommittedParts(ctx, key)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	same := func(x, y blob.Part) bool { return x.ID == y.ID && x.Size == y.Size }
	if err == nil && !slices.EqualFunc(got, parts, same) {
		err = fmt.Errorf("the object was committed with %v, not %v", got, parts)
	}
	return err
}
