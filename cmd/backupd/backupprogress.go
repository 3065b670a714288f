package main

import (
	"io"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/sitebackup/sitebackup/httpapi/client"
)

// progress has a bar for each export on standard error, where that is a terminal
// and people read what comes out. Elsewhere it shows nothing.
type progress struct {
	bars map[string]*mpb.Bar
	out  *mpb.Progress // nil: nothing is shown
}

func newProgress(sys *system, c *serverFlags) *progress {
	if file, ok := sys.err.(*os.File); ok && c.Output != outputJSON && isTerminal(&system{out: file, env: sys.env}) {
		return barsOn(file)
	}
	return &progress{}
}

func barsOn(w io.Writer, more ...mpb.ContainerOption) *progress {
	return &progress{bars: make(map[string]*mpb.Bar), out: mpb.New(append(more, mpb.WithOutput(w), mpb.WithWidth(60))...)}
}

// countText is how far a bar is, of how much if that is known.
func countText(s decor.Statistics) string {
	if s.Total <= 0 {
		return bytesText(s.Current)
	}
	return bytesText(s.Current) + " of " + bytesText(s.Total)
}

func (p *progress) backup(b *client.Backup) {
	for i := range b.Tasks {
		t := &b.Tasks[i]
		total := int64(0) // not known
		if t.Size != nil {
			total = *t.Size
		} else if t.AnnouncedSize != nil {
			total = *t.AnnouncedSize
		}
		p.file(t.Provider, received(t), total)
	}
}

func (p *progress) file(name string, have, size int64) {
	if p.out == nil {
		return
	}
	bar := p.bars[name]
	if bar == nil {
		bar = p.out.AddBar(0,
			mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR), decor.Any(countText, decor.WCSyncSpace)),
			mpb.AppendDecorators(decor.AverageSpeed(decor.SizeB1024(0), "% .0f")))
		p.bars[name] = bar
	}
	bar.SetTotal(size, false)
	bar.SetCurrent(have)
}

// end leaves the bars as they stand.
func (p *progress) end() {
	if p.out == nil {
		return
	}
	for _, bar := range p.bars {
		bar.Abort(false) // nothing, if it is complete
	}
	p.out.Wait()
}
