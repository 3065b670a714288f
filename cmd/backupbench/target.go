package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// target is a number that must not be exceeded.
type target struct {
	what       string
	value, max float64
	unit       string
	gated      bool // misses fail --gate: what doesn't depend on the machine's speed
}

func (t *target) met() bool { return t.value <= t.max }

const (
	engineRatio     = 1.2
	taskRatio       = 1.35
	rcloneCPURatio  = 0.5
	rcloneWallRatio = 0.6
	peakMiB         = 80
	growthMiB       = 8
	flatFrom        = gib // shorter exports don't fill all that is there to be filled
)

// unmeasured is the value of a target that --gate is to look at and nothing says
// anything about. It is missed: a gate that compares nothing would always be open.
var unmeasured = math.Inf(1)

// targets are those that the runs say something about.
func (c *runCmd) targets(r *results) []target {
	var all []target
	for _, size := range c.Size {
		for _, network := range c.Network {
			all = append(all, c.ratios(r, size, network)...)
		}
	}
	return append(all, c.memory(r)...)
}

// ratios compares the least of all runs: what else the machine does only adds.
func (c *runCmd) ratios(r *results, size size, network network) []target {
	where := fmt.Sprintf(", %s, %s", c.title(network), size)
	of := func(k kind, m measureOf) time.Duration { return r.least(item{size, network, k}, m) }
	unhashed, sha := of(kindUnhashed, cpu), r.least(item{size, "", kindSHA256}, cpu)
	base := unhashed + sha
	if unhashed <= 0 || sha <= 0 {
		base = 0
	}
	var all []target
	expected := true
	compare := func(what string, value, base time.Duration, most float64, gated bool) {
		switch {
		case value > 0 && base > 0:
			all = append(all, target{what + where, float64(value) / float64(base), most, "", gated})
		case c.Gate && gated && expected:
			all = append(all, target{what + where, unmeasured, most, "", true})
		}
	}
	compare("CPU of engine / (unhashed + SHA-256)", of(kindEngine, cpu), base, engineRatio, true)
	compare("CPU of task / (unhashed + SHA-256)", of(kindTask, cpu), base, taskRatio, true)
	expected = slices.Contains(c.Only, kindRclone)
	// rclone's are those of its command. A worker stands there and waits for tasks: what its process
	// takes to start and to end is no part of one, and neither is how late River tells of a job's end.
	compare("CPU of engine's process / rclone's", of(kindEngine, processCPUOf), of(kindRclone, processCPUOf), rcloneCPURatio, true)
	compare("CPU of task / rclone's", of(kindTask, cpu), of(kindRclone, processCPUOf), rcloneCPURatio, true)
	compare("time of engine's process / rclone's", of(kindEngine, processWallOf), of(kindRclone, processWallOf), rcloneWallRatio, false)
	compare("time of task / rclone's", of(kindTask, wall), of(kindRclone, processWallOf), rcloneWallRatio, false)
	return all
}

// memory is about parts of 8 MiB, four at a time, and about what suits a distant store.
func (c *runCmd) memory(r *results) []target {
	var all []target
	for _, k := range []kind{kindEngine, kindTask} {
		for _, network := range c.Network {
			if network != networkFar && (c.Part != 8*mib || c.Concurrency != 4) {
				continue
			}
			where := ", " + c.title(network)
			var least, most int64
			for _, size := range c.Size {
				peak := r.peak(item{size, network, k})
				if peak == 0 && !c.Gate {
					continue
				}
				of := target{fmt.Sprintf("memory of %s's process%s, %s", k, where, size), float64(peak) / mib, peakMiB, " MiB", true}
				if peak == 0 {
					of.value = unmeasured
				}
				all = append(all, of)
				if size >= flatFrom {
					most = max(most, peak)
					if least == 0 || peak < least {
						least = peak
					}
				}
			}
			if len(c.Size) > 1 && most > 0 {
				all = append(all, target{
					fmt.Sprintf("memory of %s's process%s: growth with the size", k, where), float64(most-least) / mib, growthMiB, " MiB", true,
				})
			}
		}
	}
	return all
}
