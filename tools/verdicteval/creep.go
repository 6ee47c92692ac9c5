package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// printCreep: series that get worse by half a percent a week from night 30 on, as the
// product ships: how soon that is one finding, and where it is said to have begun.
func printCreep(w io.Writer, seed uint64, c *checks) {
	const creepNights, begin, daily = 120, 30, 0.005 / 7
	fmt.Fprint(w, "## Creep: 0.5 % worse a week from night 30 to 120\n\n| noise | found | worse by then | alarms per series | still red at the end | begin off by |\n|---|---|---|---|---|---|\n")
	found, all, told := 0, 0, 0
	for _, noise := range []float64{0.003, 0.01, 0.02} {
		var when, off []float64
		alarms, red := 0, 0
		for k := range uint64(specialSeries / 2) {
			p := newPlayer(seed, 900+k, noise, verdict.Policy{Reruns: verdict.MaxReruns})
			first := -1
			for i := range creepNights {
				row := p.night(daily*float64(max(0, i-begin)), "")
				if row.Alarm && i > begin {
					alarms++
					if first < 0 {
						first = i
						when = append(when, 100*daily*float64(i-begin))
						off = append(off, float64(indexOf(p.runs, row.Onset)-begin))
					}
				}
				red += count(i == creepNights-1 && row.Verdict == verdict.Regression)
			}
		}
		n := specialSeries / 2
		fmt.Fprintf(w, "| %.1f %% | %d of %d | %.1f %% (median) | %.2f | %d | %+.0f nights (median) |\n",
			100*noise, len(when), n, medianOrZero(when), float64(alarms)/float64(n), red, medianOrZero(off))
		found, all, told = found+len(when), all+n, told+alarms
	}
	fmt.Fprintln(w)
	c.check(100*found >= 95*all, "creep: found in %d of %d series (at least 95 %%)", found, all)
	c.check(10*told <= 13*all, "creep: told %.2f times a series (at most 1.3)", float64(told)/float64(all))
}

func indexOf(runs []verdict.Run, id string) int {
	return slices.IndexFunc(runs, func(r verdict.Run) bool { return r.ID == id })
}

func medianOrZero(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	return median(v)
}
