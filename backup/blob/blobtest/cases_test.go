package blobtest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/blobtest"
)

// Stores that break one promise each: the suite must find every one of them.
func TestCasesFindBrokenStores(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(*broken){
		"commit replaces":          func(b *broken) { b.commitReplaces = true },
		"commit loses its last":    func(b *broken) { b.losesLastPart = true },
		"commit sorts":             func(b *broken) { b.sortsParts = true },
		"commit takes half":        func(b *broken) { b.skipsMissing = true },
		"metadata is lost":         func(b *broken) { b.losesMetadata = true },
		"metadata is capitalised":  func(b *broken) { b.capitalises = true },
		"any checksum will do":     func(b *broken) { b.anyChecksum = true },
		"range is ignored":         func(b *broken) { b.wholeObject = true },
		"short body looks whole":   func(b *broken) { b.shortIsWhole = true },
		"list is unsorted":         func(b *broken) { b.unsorted = true },
		"list forgets the prefix":  func(b *broken) { b.listsAll = true },
		"delete fails on nothing":  func(b *broken) { b.deleteFails = true },
		"delete drops parts":       func(b *broken) { b.deleteAborts = true },
		"abort deletes":            func(b *broken) { b.abortDeletes = true },
		"staged parts are missing": func(b *broken) { b.forgetsStaged = true },
		"context is ignored":       func(b *broken) { b.ignoresContext = true },
		"name has a signature":     func(b *broken) { b.showsSecret = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &broken{Store: files(t)}
			breaks(b)
			found := slices.ContainsFunc(blobtest.Cases(), func(c blobtest.Case) bool {
				return c.Run(t.Context(), b, "x/"+strings.ToLower(c.Name)) != nil
			})
			require.True(t, found, "no check has found it")
		})
	}
}

// Nothing is left of a check, even of one that fails.
func TestCasesCleanUp(t *testing.T) {
	t.Parallel()
	s := files(t)
	for _, c := range blobtest.Cases() {
		require.NoError(t, c.Run(t.Context(), s, "prefix/"+c.Name), c.Name)
		_ = c.Run(t.Context(), &broken{Store: s, sortsParts: true}, "prefix/"+c.Name)
		for obj, err := range s.List(t.Context(), "") {
			t.Errorf("%s has left %v, %v", c.Name, obj, err)
		}
	}
}

// broken is a store with one fault.
type broken struct {
	blob.Store
	commitReplaces, losesLastPart, sortsParts, skipsMissing, losesMetadata, capitalises, anyChecksum, wholeObject,
	shortIsWhole, unsorted, listsAll, deleteFails, deleteAborts, abortDeletes, forgetsStaged, ignoresContext, showsSecret bool
}

func (b *broken) StagePart(ctx context.Context, key string, part blob.Part, data []byte) error {
	if b.anyChecksum {
		part.CRC64 = blob.Checksum(data)
	}
	return b.Store.StagePart(ctx, key, part, data)
}

func (b *broken) StagedParts(ctx context.Context, key string) ([]blob.Part, error) {
	parts, err := b.Store.StagedParts(ctx, key)
	if b.forgetsStaged && len(parts) > 0 {
		parts = parts[1:]
	}
	return parts, err
}

func (b *broken) Commit(ctx context.Context, key string, parts []blob.Part, info blob.Info) error {
	parts = slices.Clone(parts)
	switch {
	case b.commitReplaces:
		_ = b.Store.Delete(ctx, key)
	case b.losesLastPart && len(parts) > 1:
		parts = parts[:len(parts)-1]
	case b.sortsParts:
		slices.SortFunc(parts, func(x, y blob.Part) int { return bytes.Compare(x.ID[:], y.ID[:]) })
	case b.losesMetadata:
		info.Metadata = nil
	}
	err := b.Store.Commit(ctx, key, parts, info)
	if b.skipsMissing && errors.Is(err, blob.ErrPartMissing) && len(parts) > 0 {
		return b.Commit(ctx, key, parts[:len(parts)-1], info)
	}
	return err
}

func (b *broken) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if b.wholeObject {
		offset, length = 0, -1
	}
	body, err := b.Store.Open(ctx, key, offset, length)
	if err == nil && b.shortIsWhole {
		return &shortBody{body}, nil
	}
	return body, err
}

type shortBody struct{ io.ReadCloser }

func (s *shortBody) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

func (b *broken) Stat(ctx context.Context, key string) (*blob.Object, error) {
	if b.ignoresContext {
		ctx = context.WithoutCancel(ctx)
	}
	obj, err := b.Store.Stat(ctx, key)
	if err == nil && b.capitalises {
		m := make(map[string]string)
		for k, v := range obj.Metadata {
			m[strings.ToUpper(k[:1])+k[1:]] = v
		}
		obj.Metadata = m
	}
	return obj, err
}

func (b *broken) List(ctx context.Context, prefix string) iter.Seq2[*blob.Object, error] {
	if b.listsAll {
		prefix = prefix[:strings.LastIndexByte(prefix, '/')+1]
	}
	all := b.Store.List(ctx, prefix)
	if !b.unsorted {
		return all
	}
	return func(yield func(*blob.Object, error) bool) {
		var last *blob.Object // comes first
		var rest []*blob.Object
		for obj, err := range all {
			if err != nil {
				yield(nil, err)
				return
			}
			rest, last = append(rest, obj), obj
		}
		if last == nil || !yield(last, nil) {
			return
		}
		for _, obj := range rest[:len(rest)-1] {
			if !yield(obj, nil) {
				return
			}
		}
	}
}

func (b *broken) Delete(ctx context.Context, key string) error {
	if _, err := b.Store.Stat(ctx, key); errors.Is(err, blob.ErrNotFound) {
		if b.deleteFails {
			return err
		}
		if b.deleteAborts {
			return b.Store.Abort(ctx, key)
		}
	}
	return b.Store.Delete(ctx, key)
}

func (b *broken) Abort(ctx context.Context, key string) error {
	if b.abortDeletes {
		return b.Store.Delete(ctx, key)
	}
	return b.Store.Abort(ctx, key)
}

func (b *broken) String() string {
	if b.showsSecret {
		return b.Store.String() + "?sig=secret"
	}
	return b.Store.String()
}
