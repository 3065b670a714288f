package blob_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/blobtest"
)

// paged is a source that goes on only behind a page: its cursor is the number of
// the next one.
type paged struct {
	pages [][]byte
	next  int // page
	page  []byte
	step  int
	left  int   // bytes until err
	err   error // io.EOF, at the end of the pages
	quiet bool  // at the very end there is no cursor
}

func newPaged(data []byte, sizes ...int) *paged {
	p := &paged{err: io.EOF, step: len(data) + 1, left: len(data) + 1}
	for i := 0; len(data) > 0; i++ {
		n := min(sizes[i%len(sizes)], len(data))
		p.pages = append(p.pages, data[:n])
		data = data[n:]
	}
	return p
}

// from is the source as it goes on at cursor.
func (p *paged) from(cursor string) *paged {
	c := *p
	if cursor != "" {
		c.next, _ = strconv.Atoi(cursor)
	}
	c.page = nil
	return &c
}

// offset is where cursor is.
func (p *paged) offset(cursor string) (at int64) {
	next, _ := strconv.Atoi(cursor) // p itself is being read meanwhile
	for _, page := range p.pages[:next] {
		at += int64(len(page))
	}
	return at
}

func (p *paged) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, p.err
	}
	if len(p.page) == 0 {
		if p.next == len(p.pages) {
			return 0, io.EOF
		}
		p.page = p.pages[p.next]
		p.next++
	}
	n := copy(b[:min(len(b), p.step, p.left)], p.page)
	p.page = p.page[n:]
	p.left -= n
	return n, nil
}

func (p *paged) Close() error { return nil }

func (p *paged) cursor() string {
	if len(p.page) > 0 || (p.quiet && p.next == len(p.pages)) {
		return ""
	}
	return strconv.Itoa(p.next)
}

// stagePaged stages p, and checks that each checkpoint is at a mark.
func stagePaged(t *testing.T, s blob.Store, p *paged, o *blob.UploadOptions, first int64) (*blob.Content, *recorded, error) {
	t.Helper()
	o.Cursor = p.cursor
	r := record(t, o)
	o.Journal = func(ctx context.Context, c *blob.Checkpoint) error {
		if c.Cursor == "" || p.offset(c.Cursor) != c.Offset {
			t.Errorf("cursor %q is at %d, the checkpoint at %d", c.Cursor, p.offset(c.Cursor), c.Offset)
		}
		return r.journal(ctx, c)
	}
	c, err := blob.StageSized(t.Context(), s, key, p, o, first)
	return c, r, err
}

// Pages and parts of any size, read in any steps, cut anywhere, or killed: the
// next attempt goes on with the page behind its checkpoint, and all comes out
// whole.
func TestAnyPagesComeOutWhole(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 2))
			data := patternBytes(r.IntN(60_000))
			source := newPaged(data, pageSizes(r)...)
			source.quiet = r.IntN(2) == 0
			f := blobtest.NewFaulty(newMemStore())
			first := int64(1 + r.IntN(5000))
			resume := (*blob.Checkpoint)(nil)
			for attempt := byte(1); ; attempt++ {
				require.Less(t, int(attempt), 200, "no attempt comes to the end")
				c, saved, err := attemptPages(t, r, f, source, resume, attempt, first)
				if err == nil {
					requireContent(t, c, data)
					requireCommits(t, r, f, c, data)
					return
				}
				if len(saved) > 0 { // a worker that is killed has journaled what it has
					resume = &saved[max(r.IntN(2*len(saved))-len(saved), 0)]
					if r.IntN(2) == 0 {
						resume = &saved[len(saved)-1]
					}
				}
			}
		})
	}
}

// pageSizes are some of one kind: tiny, about as large as parts, larger, or mixed.
func pageSizes(r *rand.Rand) []int {
	most := []int{20, 500, 5000, 30_000}[r.IntN(4)]
	sizes := make([]int, 1+r.IntN(10))
	for i := range sizes {
		sizes[i] = 1 + r.IntN(most)
		if r.IntN(3) == 0 {
			sizes[i] = 1 + r.IntN(20)
		}
	}
	return sizes
}

func attemptPages(t *testing.T, r *rand.Rand, f *blobtest.Faulty, source *paged, resume *blob.Checkpoint, attempt byte, first int64) (*blob.Content, []blob.Checkpoint, error) {
	t.Helper()
	o := options()
	o.Token[15], o.Token[0] = attempt, attempt
	o.Concurrency = 1 + r.IntN(6)
	o.Resume = resume
	cursor := ""
	if resume != nil {
		cursor = resume.Cursor
	}
	p := source.from(cursor)
	p.step = 1 + r.IntN(5000)
	if r.IntN(3) > 0 {
		p.left, p.err = r.IntN(60_000), io.ErrUnexpectedEOF
	}
	if r.IntN(4) == 0 {
		f.Fail(blobtest.OpStagePart, 1+r.IntN(20), errDisk)
	}
	c, rec, err := stagePaged(t, f, p, o, first)
	return c, rec.saved, err
}

// sizes are those of parts.
func sizes(parts []blob.Part) []int64 {
	var s []int64
	for _, p := range parts {
		s = append(s, p.Size)
	}
	return s
}

func TestPartsEndAtMarks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		total       int
		pages       []int
		want        []int64
		checkpoints []int64 // where one may be
	}{
		"small pages":                    {250, []int{3}, []int64{96, 96, 58}, []int64{96, 192, 250}},
		"pages that fit twice":           {240, []int{40}, []int64{80, 80, 80}, []int64{80, 160, 240}},
		"a page is a part":               {300, []int{100}, []int64{100, 100, 100}, []int64{100, 200, 300}},
		"a page is two parts and a half": {500, []int{250}, []int64{100, 100, 50, 100, 100, 50}, []int64{250, 500}},
		"a page that doesn't fit":        {170, []int{30, 90, 50}, []int64{30, 70, 20, 50}, []int64{30, 120, 170}},
		"a page of all":                  {270, []int{270}, []int64{100, 100, 70}, []int64{270}},
		"one byte more than a part":      {303, []int{101}, []int64{100, 1, 100, 1, 100, 1}, []int64{101, 202, 303}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := patternBytes(c.total)
			p := newPaged(data, c.pages...)
			content, r, err := stagePaged(t, newMemStore(), p, options(), 100)
			require.NoError(t, err)
			requireContent(t, content, data)
			require.Equal(t, c.want, sizes(content.Parts))
			for _, saved := range r.saved {
				require.Contains(t, c.checkpoints, saved.Offset)
			}
		})
	}
}

// What comes behind the last mark before a cut is of no use, what comes before it
// is kept to the last byte.
func TestCutInMidPage(t *testing.T) {
	t.Parallel()
	data := patternBytes(1000)
	for i := range 2000 {
		cut, size := i/2, []int{70, 7}[i%2] // a part ends at its only mark, or has many
		source := newPaged(data, size)
		p := source.from("")
		p.left, p.err = cut, io.ErrUnexpectedEOF
		s := newMemStore()
		_, r, err := stagePaged(t, s, p, options(), 100)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		var broken *blob.SourceError
		require.ErrorAs(t, err, &broken)
		require.EqualValues(t, cut, broken.Offset)
		if cut < size {
			require.Nil(t, r.last())
			continue
		}
		require.EqualValues(t, cut/size*size, r.last().Offset)
		require.Equal(t, strconv.Itoa(cut/size), r.last().Cursor)
	}
}

// A source that always breaks off soon comes to its end all the same, if each
// attempt brings a page.
func TestPagesThatAreAlwaysCut(t *testing.T) {
	t.Parallel()
	data := patternBytes(30 + 70 + 99)
	source := newPaged(data, 30, 70, 99)
	s := newMemStore()
	var resume *blob.Checkpoint
	for _, want := range []int64{30, 100, 199} {
		o := options()
		o.Resume = resume
		p := source
		if resume != nil {
			p = source.from(resume.Cursor)
		}
		p.left, p.err = 99, io.ErrUnexpectedEOF
		_, r, err := stagePaged(t, s, p, o, 80)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Equal(t, want, r.last().Offset)
		resume = r.last()
	}
}

// At the last part's number no second part can be made, and the end is the end.
func TestMarksAtTheLastPart(t *testing.T) {
	t.Parallel()
	const most = 10_000 * (1 + 2 + 4 + 8 + 16) * 4
	for total, tooMany := range map[int]bool{most - 30: false, most: false, most + 1: true} {
		// All parts but the last are of one page; that one has a mark in its midst.
		p := newPaged(patternBytes(total), most-64, 14, 60)
		c, _, err := stagePaged(t, nullStore{}, p, options(), 4)
		if tooMany {
			require.ErrorIs(t, err, blob.ErrTooManyParts)
			continue
		}
		require.NoError(t, err)
		require.Len(t, c.Parts, blob.MaxParts)
		requireContent(t, c, patternBytes(total))
	}
}
