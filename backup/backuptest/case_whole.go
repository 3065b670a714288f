package backuptest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/sitebackup/sitebackup/backup"
)

// whole reads what a first request gives.
func (b *bench) whole(ctx context.Context, req backup.ExportRequest) (*copied, error) {
	return b.copy(ctx, req, nil)
}

// checkWhole: a first request gives a body that starts at 0, is as long as
// announced, ends with io.EOF itself, and is proven to be whole.
func checkWhole(ctx context.Context, b *bench) error {
	_, err := b.whole(ctx, b.Request)
	return err
}

// checkAgain: the same bytes come again where that is promised.
func checkAgain(ctx context.Context, b *bench) error {
	first, err := b.whole(ctx, b.Request)
	if err != nil {
		return err
	}
	second, err := b.whole(ctx, b.Request)
	if err != nil {
		return err
	}
	return b.same(first, second)
}

// same checks that two exports of one request don't contradict each other.
func (b *bench) same(first, second *copied) error {
	if bytes.Equal(first.sum, second.sum) {
		return nil
	}
	what := fmt.Sprintf("two exports of one request differ: %d bytes %.8x, %d bytes %.8x", first.size, first.sum, second.size, second.sum)
	switch {
	case b.Deterministic:
		return fmt.Errorf("%s; and Options.Deterministic is true", what)
	case first.validator != "" && first.validator == second.validator:
		return fmt.Errorf("%s; and both have the validator %q", what, first.validator)
	}
	return nil
}

// checkSmallReads: nothing is lost however little is read at a time.
func checkSmallReads(ctx context.Context, b *bench) error {
	first, err := b.whole(ctx, b.Request)
	if err != nil {
		return err
	}
	c, err := b.copy(ctx, b.Request, nil, 1, 3, 1009)
	if err != nil {
		return fmt.Errorf("with small buffers: %w", err)
	}
	return b.same(first, c)
}

// readers is how many read at once.
const readers = 8

// checkConcurrently: many goroutines use the provider at once.
func checkConcurrently(ctx context.Context, b *bench) error {
	first, err := b.whole(ctx, b.Request)
	if err != nil {
		return err
	}
	if err := b.together(ctx, []backup.ExportRequest{b.Request, b.Request}, []*copied{first, first}); err != nil {
		return err
	}
	return parallel(readers, func(int) error {
		c, err := b.whole(ctx, b.Request)
		if err != nil {
			return err
		}
		return b.same(first, c)
	})
}

// checkOthersAreSeparate: exports that are read at once aren't mixed up.
func checkOthersAreSeparate(ctx context.Context, b *bench) error {
	requests := []backup.ExportRequest{b.Request, *b.Other}
	first := make([]*copied, len(requests))
	for i, r := range requests {
		var err error
		if first[i], err = b.whole(ctx, r); err != nil {
			return err
		}
	}
	if bytes.Equal(first[0].sum, first[1].sum) {
		return errors.New("Options.Request and Options.Other give the same bytes: one must have been taken for the other")
	}
	if err := b.together(ctx, requests, first); err != nil {
		return err
	}
	return parallel(readers, func(i int) error {
		c, err := b.whole(ctx, requests[i%2])
		if err != nil {
			return err
		}
		return b.itself(c, first[i%2], first[1-i%2])
	})
}

// together opens two exports before it reads both. More than two could be too
// many: a provider may wait for a free connection.
func (b *bench) together(ctx context.Context, requests []backup.ExportRequest, first []*copied) error {
	open := make([]*backup.Export, len(requests))
	for i, r := range requests {
		ex, err := b.export(ctx, r)
		if err != nil {
			return fmt.Errorf("open two at once: %w", err)
		}
		defer b.close(ex)
		open[i] = ex
	}
	return parallel(len(open), func(i int) error {
		c, err := b.copyBody(open[i], sha256.New(), io.Discard)
		if err != nil {
			return err
		}
		return b.itself(c, first[i], first[1-i])
	})
}

// itself checks that c is the export that it was before, and not the other.
func (b *bench) itself(c, before, other *copied) error {
	if bytes.Equal(c.sum, other.sum) && !bytes.Equal(before.sum, other.sum) {
		return errors.New("one export has the other's bytes")
	}
	return b.same(before, c)
}

// parallel calls fn n times at once, and waits.
func parallel(n int, fn func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = fn(i) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("%d at once: %w", n, err)
		}
	}
	return nil
}
