package backuptest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/backuptest"
)

type broken struct {
	cases    []string // that must find it
	message  string
	provider backup.Provider
	options  func(*backuptest.Options)
}

func TestSuiteRejects(t *testing.T) {
	t.Parallel()
	all := make(map[string]bool)
	for _, c := range backuptest.Cases(memoryOptions()) {
		all[c.Name] = true
	}
	providers := brokenProviders(t)
	maps.Copy(providers, brokenPages())
	for name, b := range providers {
		for _, c := range b.cases {
			delete(all, c)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := memoryOptions()
			o.Soon, o.Quiet = 500*time.Millisecond, 50*time.Millisecond
			if b.options != nil {
				b.options(o)
			}
			for _, c := range backuptest.Cases(o) {
				if !slices.Contains(b.cases, c.Name) {
					continue
				}
				err := c.Run(t.Context(), b.provider)
				require.ErrorContains(t, err, b.message, c.Name)
				require.ErrorContains(t, err, c.Name)
				require.NotContains(t, err.Error(), "s3cr3t")
			}
		})
	}
	require.Empty(t, all, "checks that nothing shows to be able to fail")
}

func brokenProviders(t *testing.T) map[string]broken {
	return map[string]broken{
		"fails": {[]string{"Whole", "Again", "Concurrently", "Resume", "CloseEarly", "Canceled", "CutIsNoEnd", "CancelEndsRead"}, "out of order",
			providerFunc(func(context.Context, *backup.ExportRequest) (*backup.Export, error) {
				return nil, errors.New("out of order")
			}), nil},
		"says nothing": {[]string{"Whole", "Refusals"}, "neither an error nor a body",
			providerFunc(func(context.Context, *backup.ExportRequest) (*backup.Export, error) { return nil, nil }), nil},
		"has no body": {[]string{"Whole"}, "neither an error nor a body",
			spoiled(func(_ context.Context, _ *backup.ExportRequest, ex *backup.Export) { ex.Body = nil }), nil},
		"begins in the middle": {[]string{"Whole"}, "Offset is 5, but 0 was asked for",
			spoiled(func(_ context.Context, _ *backup.ExportRequest, ex *backup.Export) { ex.Offset = 5 }), nil},
		"announces too much": {[]string{"Whole", "Resume"}, "Size is 50001, and the whole export has 50000 bytes",
			spoiled(func(_ context.Context, _ *backup.ExportRequest, ex *backup.Export) { ex.Size++ }), nil},
		"announces too little": {[]string{"Whole"}, "Size is 49999, and the whole export has 50000 bytes",
			spoiled(func(_ context.Context, _ *backup.ExportRequest, ex *backup.Export) { ex.Size-- }), nil},
		"announces nonsense": {[]string{"Whole"}, "Size is -2",
			spoiled(func(_ context.Context, _ *backup.ExportRequest, ex *backup.Export) { ex.Size = -2 }), nil},
		"announces what is left": {[]string{"Resume"}, "Size is 49999, and the whole export has 50000 bytes",
			spoiled(func(_ context.Context, _ *backup.ExportRequest, ex *backup.Export) { ex.Size -= ex.Offset }), nil},
		"has an odd media type": {[]string{"Whole"}, `ContentType "a file" is no media type`,
			spoiled(func(_ context.Context, _ *backup.ExportRequest, ex *backup.Export) { ex.ContentType = "a file" }), nil},
		"is empty": {[]string{"Whole"}, "the export is empty",
			spoiled(func(ctx context.Context, _ *backup.ExportRequest, ex *backup.Export) {
				ex.Body, ex.Size, ex.End = newBody(ctx, nil, io.EOF), 0, nil
			}), nil},

		"wraps io.EOF": {[]string{"Whole"}, "wraps io.EOF", lastError(fmt.Errorf("read: %w", io.EOF)), nil},
		"never ends":   {[]string{"Whole"}, "no bytes and no error 100 times", lastError(nil), nil},
		"returns too much": {[]string{"Whole"}, "for a buffer of",
			spoiledRead(func(_ context.Context, _ io.Reader, p []byte) (int, error) { return len(p) + 1, nil }), nil},
		"drops what doesn't fit": {[]string{"SmallReads"}, "End.SHA256", dropping(), func(o *backuptest.Options) { o.Deterministic = false }},
		"drops what doesn't fit, and proves nothing": {[]string{"SmallReads"}, "differ", spoiled(func(_ context.Context, _ *backup.ExportRequest, ex *backup.Export) {
			ex.Body, ex.Size, ex.End = &readerFunc{ex.Body, dropRead(ex.Body)}, -1, nil
		}), func(o *backuptest.Options) { o.AllowUnproven = true }},

		"proves nothing": {[]string{"Whole"}, "nothing proves the end",
			spoiled(func(_ context.Context, _ *backup.ExportRequest, ex *backup.Export) { ex.Size, ex.End = -1, nil }), nil},
		"has a wrong digest": {[]string{"Whole"}, "End.SHA256 is",
			spoiled(func(_ context.Context, _ *backup.ExportRequest, ex *backup.Export) {
				ex.End = func() (backup.End, error) { return backup.End{SHA256: make([]byte, 32)}, nil }
			}), nil},
		"has a short digest": {[]string{"Whole"}, "End.SHA256 has 3 bytes",
			spoiled(func(_ context.Context, _ *backup.ExportRequest, ex *backup.Export) {
				ex.End = func() (backup.End, error) { return backup.End{SHA256: make([]byte, 3)}, nil }
			}), nil},
		"has an error at the end": {[]string{"Whole"}, "End: digest mismatch",
			spoiled(func(_ context.Context, _ *backup.ExportRequest, ex *backup.Export) {
				ex.End = func() (backup.End, error) { return backup.End{}, errors.New("digest mismatch") }
			}), nil},
		"digests what it didn't see": {[]string{"Resume"}, "DigestChecked",
			spoiled(func(_ context.Context, _ *backup.ExportRequest, ex *backup.Export) {
				ex.End = func() (backup.End, error) { return backup.End{DigestChecked: true}, nil }
			}), nil},

		"changes": {[]string{"Again", "SmallReads", "Concurrently"}, "Options.Deterministic is true", changing(true), nil},
		"changes under one validator": {[]string{"Again"}, "both have the validator", changing(false),
			func(o *backuptest.Options) { o.Deterministic = false }},
		"changes in between": {[]string{"Resume"}, "is not what follows",
			providerFunc(func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
				ex, err := memory{1}.Export(ctx, req)
				if err == nil && req.Offset > 0 {
					ex.Body = newBody(ctx, memory{2}.data(req.SiteID)[ex.Offset:], io.EOF)
					ex.End = nil
				}
				return ex, err
			}), nil},
		"ignores the ids": {[]string{"OthersAreSeparate"}, "the same bytes",
			providerFunc(func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
				one := *req
				one.SiteID = "site"
				return memory{1}.Export(ctx, &one)
			}), nil},
		"mixes up what is read at once": {[]string{"OthersAreSeparate"}, "2 at once: one export has the other's bytes", mixing(), nil},
		"reads one at a time":           {[]string{"Concurrently"}, "busy", single(), nil},

		"goes on one byte too far": {[]string{"Resume"}, "is not what follows",
			spoiled(func(ctx context.Context, req *backup.ExportRequest, ex *backup.Export) {
				ex.Size, ex.End = -1, framed
				goOn(ctx, req, ex, req.Offset+1)
			}), nil},
		"says it goes on and starts over": {[]string{"Resume", "ResumeAtTheEnd"}, "resume at",
			spoiled(func(ctx context.Context, req *backup.ExportRequest, ex *backup.Export) { goOn(ctx, req, ex, 0) }), nil},
		"goes on elsewhere": {[]string{"Resume"}, "was asked for: it must be that, or 0",
			spoiled(func(_ context.Context, req *backup.ExportRequest, ex *backup.Export) {
				ex.Offset = req.Offset - req.Offset/2
			}), nil},
		"has no validator": {[]string{"Resume"}, "has no Validator",
			spoiled(func(_ context.Context, _ *backup.ExportRequest, ex *backup.Export) { ex.Validator = "" }), nil},
		"starts over": {[]string{"Resume"}, "it started over",
			providerFunc(func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
				one := *req
				one.Offset = 0
				return memory{1}.Export(ctx, &one)
			}), nil},
		"has nothing behind the end": {[]string{"ResumeAtTheEnd"}, "416",
			providerFunc(func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
				if req.Offset == memorySize {
					return nil, errors.New("416")
				}
				return memory{1}.Export(ctx, req)
			}), nil},
		"ignores validators": {[]string{"ResumeWithWrongValidator", "ResumeWithoutValidator"}, "must start over",
			spoiled(func(ctx context.Context, req *backup.ExportRequest, ex *backup.Export) {
				goOn(ctx, req, ex, req.Offset)
			}), nil},
		"takes no validator for any": {[]string{"ResumeWithoutValidator"}, "must start over",
			spoiled(func(ctx context.Context, req *backup.ExportRequest, ex *backup.Export) {
				if req.Validator == "" {
					goOn(ctx, req, ex, req.Offset)
				}
			}), nil},

		"can't be canceled while it opens": {[]string{"Canceled"}, "canceled before Export: Export: did not return",
			providerFunc(func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
				if ctx.Err() != nil {
					<-t.Context().Done()
				}
				return memory{1}.Export(ctx, req)
			}), nil},
		"can't be canceled while it is read": {[]string{"Canceled"}, "the body: did not return",
			spoiledRead(func(ctx context.Context, body io.Reader, p []byte) (int, error) {
				if ctx.Err() != nil {
					<-t.Context().Done()
				}
				return body.Read(p)
			}), nil},
		"takes a cancel for the end": {[]string{"Canceled", "CancelEndsRead"}, "io.EOF",
			spoiledRead(func(ctx context.Context, body io.Reader, p []byte) (int, error) {
				n, err := body.Read(p)
				if ctx.Err() != nil {
					return 0, io.EOF
				}
				return n, err
			}), nil},
		"looks at the context before it waits": {[]string{"CancelEndsRead"}, "a Read that waits, after a cancel: did not return",
			providerFunc(func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
				return memory{1}.Export(context.WithoutCancel(ctx), req)
			}), nil},
		"can't be closed while it waits": {[]string{"CloseEndsRead"}, "a Read that waits, after Close: did not return",
			spoiled(func(_ context.Context, _ *backup.ExportRequest, ex *backup.Export) {
				ex.Body = &closerFunc{ex.Body, func() error { return nil }}
			}), nil},
		"hangs when it is closed": {[]string{"CloseEarly"}, "Close: did not return",
			spoiled(func(_ context.Context, _ *backup.ExportRequest, ex *backup.Export) {
				ex.Body = &closerFunc{ex.Body, func() error { <-t.Context().Done(); return nil }}
			}), nil},
		"leaves goroutines behind": {[]string{"CloseEarly"}, "goroutines are left behind, many of them in\n#\t",
			spoiled(func(ctx context.Context, _ *backup.ExportRequest, ex *backup.Export) {
				r, w := io.Pipe()
				body := ex.Body
				go func() {
					_, err := io.Copy(&untilDone{w, ctx}, body)
					w.CloseWithError(err)
				}()
				ex.Body = io.NopCloser(r)
			}), nil},
		"doesn't stall": {[]string{"CancelEndsRead", "CloseEndsRead"}, "doesn't stall", memory{1},
			func(o *backuptest.Options) { o.Stalled = &backup.ExportRequest{SiteID: "cut"} }},

		"takes a cut for the end": {[]string{"CutIsNoEnd"}, "io.EOF after 1000 of 50000 bytes", cutEnd(func(*backup.Export) {}), nil},
		"takes a cut for framing": {[]string{"CutIsNoEnd"}, "were given out as its whole export",
			cutEnd(func(ex *backup.Export) { ex.Size, ex.End = -1, framed }), nil},

		"exports what isn't there": {[]string{"Refusals"}, "unknown site: Export returned no error",
			providerFunc(func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
				one := *req
				one.SiteID = strings.ReplaceAll(req.SiteID, "unknown", "site")
				return memory{1}.Export(ctx, &one)
			}), nil},
		"has another class": {[]string{"Refusals"}, "is retryable, not permanent",
			providerFunc(func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
				ex, err := memory{1}.Export(ctx, req)
				if err != nil {
					err = errors.New("no such site")
				}
				return ex, err
			}), nil},

		"tells a secret in an error": {[]string{"Refusals"}, "what Export returned has Options.Secrets[1] in it",
			providerFunc(func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
				ex, err := memory{1}.Export(ctx, req)
				if err != nil {
					err = fmt.Errorf("GET ?token=s3cr3t: %w", err)
				}
				return ex, err
			}), nil},
		"tells a secret in a hint": {[]string{"Refusals"}, "what Export returned has Options.Secrets[1] in it",
			providerFunc(func(ctx context.Context, req *backup.ExportRequest) (*backup.Export, error) {
				ex, err := memory{1}.Export(ctx, req)
				if err != nil {
					err = backup.Permanent(err, "look at ?token=s3cr3t")
				}
				return ex, err
			}), nil},
		"tells a secret while it is read": {[]string{"Whole"}, "what Read returned has Options.Secrets[1] in it", lastError(errors.New("s3cr3t")), nil},
		"tells a secret in a validator": {[]string{"Whole"}, "what Validator returned has Options.Secrets[1] in it",
			spoiled(func(_ context.Context, _ *backup.ExportRequest, ex *backup.Export) { ex.Validator = "s3cr3t" }), nil},
	}
}
