package blobtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// Case is one check of a store.
type Case struct {
	// Name says what is checked: "CommitNeverReplaces".
	Name string

	// Run does it under keys that begin with prefix and a slash, and removes what
	// it has stored. Nothing else may be there. Two cases may run at once with
	// different prefixes.
	Run func(ctx context.Context, s blob.Store, prefix string) error
}

// Run checks a store in subtests, in parallel. open returns the store to check,
// for each a new one or always the same.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	t.Helper()
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			if err := c.Run(t.Context(), open(t), "blobtest/"+strings.ToLower(c.Name)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// bench is what a check works with.
type bench struct {
	blob.Store
	prefix string
	upload [16]byte // id of the uploads of this check
}

// makeCase wraps a check: it cleans up behind it.
func makeCase(name string, check func(ctx context.Context, b *bench) error) Case {
	return Case{Name: name, Run: func(ctx context.Context, s blob.Store, prefix string) error {
		used := &recorder{Store: s, keys: make(map[string]bool)}
		err := check(ctx, &bench{Store: used, prefix: prefix, upload: randomID()})
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		return errors.Join(err, used.clean(context.WithoutCancel(ctx)))
	}}
}

// recorder notes the keys that something was stored under.
type recorder struct {
	blob.Store
	mu   sync.Mutex
	keys map[string]bool
}

func (r *recorder) note(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys[key] = true
}

func (r *recorder) StagePart(ctx context.Context, key string, part blob.Part, data []byte) error {
	err := r.Store.StagePart(ctx, key, part, data)
	if err == nil {
		r.note(key)
	}
	return err
}

func (r *recorder) Commit(ctx context.Context, key string, parts []blob.Part, info blob.Info) error {
	err := r.Store.Commit(ctx, key, parts, info)
	if err == nil {
		r.note(key)
	}
	return err
}

func (r *recorder) clean(ctx context.Context) error {
	var errs []error
	for key := range r.keys {
		errs = append(errs, r.Delete(ctx, key), r.Abort(ctx, key))
	}
	return errors.Join(errs...)
}
