package blobtest

import (
	"context"
	"io"
	"iter"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// StagePart is the store's, under its script.
func (f *Faulty) StagePart(ctx context.Context, key string, part blob.Part, data []byte) error {
	return f.call(ctx, OpStagePart, func(*fault) error { return f.Store.StagePart(ctx, key, part, data) })
}

// StagedParts is the store's, under its script.
func (f *Faulty) StagedParts(ctx context.Context, key string) (parts []blob.Part, err error) {
	err = f.call(ctx, OpStagedParts, func(*fault) (err error) {
		parts, err = f.Store.StagedParts(ctx, key)
		return err
	})
	return parts, err
}

// Commit is the store's, under its script.
func (f *Faulty) Commit(ctx context.Context, key string, parts []blob.Part, info blob.Info) error {
	return f.call(ctx, OpCommit, func(*fault) error { return f.Store.Commit(ctx, key, parts, info) })
}

// CommittedParts is the store's, under its script.
func (f *Faulty) CommittedParts(ctx context.Context, key string) (parts []blob.Part, err error) {
	err = f.call(ctx, OpCommittedParts, func(*fault) (err error) {
		parts, err = f.Store.CommittedParts(ctx, key)
		return err
	})
	return parts, err
}

// Open is the store's, under its script.
func (f *Faulty) Open(ctx context.Context, key string, offset, length int64) (body io.ReadCloser, err error) {
	err = f.call(ctx, OpOpen, func(s *fault) (err error) {
		body, err = f.Store.Open(ctx, key, offset, length)
		if err == nil && s.after != nil {
			_ = body.Close()
			body = nil
		}
		if err == nil && (s.flip >= 0 || s.cut >= 0) {
			body = &damaged{ReadCloser: body, at: offset, flip: s.flip, cut: s.cut}
		}
		return err
	})
	return body, err
}

// Stat is the store's, under its script.
func (f *Faulty) Stat(ctx context.Context, key string) (obj *blob.Object, err error) {
	err = f.call(ctx, OpStat, func(*fault) (err error) {
		obj, err = f.Store.Stat(ctx, key)
		return err
	})
	return obj, err
}

// List is the store's, under its script.
func (f *Faulty) List(ctx context.Context, prefix string) iter.Seq2[*blob.Object, error] {
	return func(yield func(*blob.Object, error) bool) {
		more := true
		err := f.call(ctx, OpList, func(*fault) error {
			for obj, err := range f.Store.List(ctx, prefix) {
				if more = yield(obj, err); !more || err != nil {
					more = false
					return nil
				}
			}
			return nil
		})
		if err != nil && more {
			yield(nil, err)
		}
	}
}

// Delete is the store's, under its script.
func (f *Faulty) Delete(ctx context.Context, key string) error {
	return f.call(ctx, OpDelete, func(*fault) error { return f.Store.Delete(ctx, key) })
}

// Abort is the store's, under its script.
func (f *Faulty) Abort(ctx context.Context, key string) error {
	return f.call(ctx, OpAbort, func(*fault) error { return f.Store.Abort(ctx, key) })
}

// Check is the store's, under its script.
func (f *Faulty) Check(ctx context.Context) error {
	return f.call(ctx, OpCheck, func(*fault) error { return f.Store.Check(ctx) })
}
