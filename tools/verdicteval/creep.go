package main

import (
	"fmt"
	"io"
	"slices"
	"time"

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

// printCreepInCase: one metric of a case of four creeps, the others stay: what the bound
// of 5 times the uncertainty finds where one metric decides for its case, and how often
// it is wrong before and in cases in which nothing creeps.
func printCreepInCase(w io.Writer, seed uint64, c *checks) {
	const metrics, creepNights, begin, daily = 4, 120, 30, 0.005 / 7
	found, wrong, quiet := 0, 0, 0
	var when []float64
	for k := range uint64(specialSeries) {
		creeps := k%2 == 0
		all := make([]*player, metrics)
		for m := range all {
			all[m] = newPlayer(seed, 2000+10*k+uint64(m), 0.01, verdict.Policy{})
			all[m].metric.Name = fmt.Sprintf("generated-%d", m)
		}
		told := false
		for i := range creepNights {
			worse := 0.0
			if creeps {
				worse = daily * float64(max(0, i-begin))
			}
			alarm := nightOfCase(all, worse)
			switch {
			case i < warmUp || told:
			case creeps && i > begin:
				if alarm {
					told = true
					found++
					when = append(when, 100*worse)
				}
			default:
				quiet++
				wrong += count(alarm)
			}
		}
	}
	fmt.Fprintf(w, "## Creep of 0.5 %% a week in one metric of four, noise 1 %%\n\nfound in %d of %d cases, %.1f %% worse by then (median); %.2f false alarms per 100 case-nights in which nothing creeps (%d)\n\n",
		found, specialSeries/2, medianOrZero(when), share(wrong, quiet), quiet)
	c.check(10*found >= 9*specialSeries/2, "creep in one metric of four: found in %d of %d cases (at least 90 %%)", found, specialSeries/2)
	c.check(share(wrong, quiet) <= 0.55, "creep in one metric of four: %.2f false alarms per 100 case-nights without (at most 0.55)", share(wrong, quiet))
}

// nightOfCase judges one night of a case, the first of whose metrics is worse, and reports
// whether it raised an alarm.
func nightOfCase(all []*player, worse float64) bool {
	var questions []verdict.Question
	var runs []verdict.Run
	for m, p := range all {
		if m > 0 {
			worse = 0
		}
		n := len(p.runs)
		run := verdict.Run{ID: fmt.Sprint(n), Time: time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC).AddDate(0, 0, n), Values: []float64{fromLog(p.metric, 100, worse+p.noise*p.rng.NormFloat64())}}
		runs = append(runs, run)
		questions = append(questions, verdict.Question{Policy: p.policy, Series: verdict.Series{Metric: p.metric, History: p.runs, New: run}})
	}
	rows, c := verdict.JudgeCase(questions)
	for m, p := range all {
		p.runs = append(p.runs, rows[m].Record(runs[m]))
	}
	return c.Alarm
}
