package demo

import (
	"fmt"
	"io"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/sitebackup/sitebackup/httpapi"
)

// progress shows how a backup goes: as bars on a terminal, as lines elsewhere.
type progress interface {
	show(b *httpapi.Backup)
	end()
}

func newProgress(out io.Writer, terminal bool, size int64) progress {
	if terminal {
		return &bars{progress: mpb.New(mpb.WithOutput(out), mpb.WithWidth(60)), size: size, bars: make(map[string]*mpb.Bar)}
	}
	return &plain{out: out, size: size, last: make(map[string]mark)}
}

// bars has one bar for each task.
type bars struct {
	progress *mpb.Progress
	size     int64
	bars     map[string]*mpb.Bar
}

func (p *bars) show(b *httpapi.Backup) {
	for i := range b.Tasks {
		t := &b.Tasks[i]
		bar := p.bars[t.Provider]
		if bar == nil {
			bar = p.progress.AddBar(p.size,
				mpb.PrependDecorators(decor.Name(t.Provider, decor.WCSyncSpaceR), decor.CountersKibiByte("% .1f of % .1f", decor.WCSyncSpace)),
				mpb.AppendDecorators(decor.OnComplete(decor.AverageSpeed(decor.SizeB1024(0), "% .0f"), "read")))
			p.bars[t.Provider] = bar
		}
		bar.SetCurrent(received(t))
	}
}

// end leaves the bars as they stand.
func (p *bars) end() {
	for _, bar := range p.bars {
		bar.Abort(false) // nothing, if it is complete
	}
	p.progress.Wait()
}

// plain writes a line for a task when it has moved by a tenth, and for each
// change of its status.
type plain struct {
	out  io.Writer
	size int64
	last map[string]mark
}

type mark struct {
	tenth  int64
	status string
}

func (p *plain) show(b *httpapi.Backup) {
	for i := range b.Tasks {
		t := &b.Tasks[i]
		n := received(t)
		now := mark{tenth: 10 * n / max(p.size, 1), status: t.Status}
		if p.last[t.Provider] == now {
			continue
		}
		p.last[t.Provider] = now
		_, _ = fmt.Fprintf(p.out, "%-5s %-8s %3d %%  %s of %s\n", t.Provider, t.Status, 100*n/max(p.size, 1), size(n), size(p.size)) // nobody is there to read it if it fails
	}
}

func (p *plain) end() {}

// received is how far a task is: all of it when it is done, whatever the last
// heartbeat said.
func received(t *httpapi.Task) int64 {
	if t.Size != nil {
		return *t.Size
	}
	return max(t.ReceivedBytes, t.StoredBytes)
}
