package main

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// describe says in two lines what was run.
func (c *runCmd) describe(r *results) string {
	runs := 0
	for _, s := range r.samples {
		runs = max(runs, len(s))
	}
	s := fmt.Sprintf("%d interleaved runs; parts of %s, %d at a time; %s, %s/%s, %d processors.\n",
		runs, c.Part, c.Concurrency, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	if slices.Contains(c.Only, kindRclone) {
		s += rcloneLine(rcloneVersionOf(c.Rclone))
	}
	return s
}

// table has a row for each case.
func (c *runCmd) table(r *results) string {
	rows := [][]string{{"Network", "Size", "What", "MB/s best", "median", "CPU s/GiB best", "median", "process", "peak MiB"}}
	done := make(map[item]bool)
	for _, it := range c.cases() {
		if done[it] || len(r.samples[it]) == 0 {
			continue
		}
		done[it] = true
		where := "–"
		if it.network != "" {
			where = c.title(it.network)
		}
		rate := func(d time.Duration) string { return fmt.Sprintf("%.0f", float64(it.size)/1e6/max(d.Seconds(), 1e-9)) }
		perGiB := func(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*gib/float64(it.size)) }
		rows = append(rows, []string{
			where, it.size.String(), it.kind.title(), rate(r.least(it, wall)), rate(r.median(it, wall)),
			perGiB(r.least(it, cpu)), perGiB(r.median(it, cpu)), perGiB(r.least(it, processCPUOf)), fmt.Sprintf("%.0f", float64(r.peak(it))/mib),
		})
	}
	return markdown(rows, 3)
}

// targetTable has a row for each target.
func targetTable(targets []target) string {
	rows := [][]string{{"Target", "measured", "at most", "met"}}
	for _, t := range targets {
		met := "yes"
		if !t.met() {
			met = "**no**"
		}
		measured := number(t.value) + t.unit
		if math.IsInf(t.value, 1) {
			measured = "nothing"
		}
		rows = append(rows, []string{t.what, measured, number(t.max) + t.unit, met})
	}
	return markdown(rows, 1)
}

func number(v float64) string {
	if v >= 10 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// markdown makes a table of rows, the first of which is its head. Columns from number left on
// are aligned to the right.
func markdown(rows [][]string, left int) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			fill := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < left {
				cell += fill
			} else {
				cell = fill + cell
			}
			b.WriteString("| " + cell + " ")
		}
		b.WriteString("|\n")
		if n > 0 {
			continue
		}
		for i, w := range widths {
			rule := strings.Repeat("-", w)
			if i >= left {
				rule = rule[1:] + ":"
			}
			b.WriteString("| " + rule + " ")
		}
		b.WriteString("|\n")
	}
	return b.String()
}
