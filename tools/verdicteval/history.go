package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// warmUp is the number of runs before the first one that is scored.
const warmUp = 10

// history is one series with its truth.
type history struct {
	name   string
	group  string // of the series of one benchmark configuration
	family string
	cv     float64
	metric metric.Metric
	runs   []verdict.Run
	// quiet says of each run whether an alarm on it is a false one.
	quiet []bool
	// changes are the real changes for the worse.
	changes []change
	// stretches are the parts in which nothing changed, as [from, to).
	stretches [][2]int
	// repeat draws repetition q of run i; nil = none can be had.
	repeat func(i, q int) (value float64, node string)
}

// change is a step for the worse at run at; size 0 = not known.
type change struct {
	at   int
	size float64
}

func (h history) series(i int, newest verdict.Run) verdict.Series {
	return verdict.Series{Case: h.name, Metric: h.metric, History: h.runs[:i], New: newest}
}

// recorded is one series of testdata/perfdata.
type recorded struct {
	Name      string `json:"name"`
	Group     string `json:"group"`
	Unit      string `json:"unit"`
	Direction string `json:"direction"`
	Points    []struct {
		T int64   `json:"t"`
		V float64 `json:"v"`
	} `json:"points"`
	Labels    []int    `json:"labels"`
	Ambiguous [][2]int `json:"ambiguous"`
}

// load reads the recorded histories: those with silver labels, and those whose
// labels come from the projects themselves.
func load(dir string) (silver, own []history, err error) {
	for _, name := range []string{"atom_llm_serving", "atom_mocker", "gab_demo", "go_aa", "hyper", "labelled"} {
		raw, err := os.ReadFile(filepath.Join(dir, name+".json"))
		if err != nil {
			return nil, nil, fmt.Errorf("read a recorded history: %w", err)
		}
		var list []recorded
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, nil, fmt.Errorf("%s.json: %w", name, err)
		}
		for _, r := range list {
			h := r.history(name)
			if name == "labelled" {
				own = append(own, h)
			} else {
				silver = append(silver, h)
			}
		}
	}
	return silver, own, nil
}

func (r recorded) history(family string) history {
	m := metric.Metric{Name: r.Name, Unit: r.Unit, Better: metric.LowerIsBetter, Gate: true, MinEffect: 0.02}
	if r.Direction == "higher" {
		m.Better = metric.HigherIsBetter
	}
	if strings.Contains(r.Name, "TTFT") {
		m.MinEffect = 0.05
	}
	h := history{name: r.Name, group: r.Group, family: family, metric: m, quiet: make([]bool, len(r.Points))}
	for k, p := range r.Points {
		h.runs = append(h.runs, verdict.Run{
			ID: fmt.Sprint(k), Time: time.Unix(p.T, 0).UTC(), Values: []float64{p.V},
		})
	}
	h.changes = r.worse(m)
	h.markQuiet(r)
	h.stretches = r.stationary()
	return h
}

// worse are the labelled changes for the worse, told from improvements by the
// medians of the levels before and behind the label.
func (r recorded) worse(m metric.Metric) []change {
	var out []change
	labels := slices.Sorted(slices.Values(r.Labels))
	for k, at := range labels {
		from, to := 0, len(r.Points)
		if k > 0 {
			from = labels[k-1]
		}
		if k+1 < len(labels) {
			to = labels[k+1]
		}
		if d := m.Worsening(r.median(from, at), r.median(at, to)); d > 0 {
			out = append(out, change{at: at})
		}
	}
	return out
}

func (r recorded) median(from, to int) float64 {
	var v []float64
	for _, p := range r.Points[from:to] {
		v = append(v, p.V)
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// markQuiet marks the runs on which an alarm is false: all but those in an
// ambiguous zone and those on the level behind a change for the worse, where a
// rule may rightly still be red.
func (h *history) markQuiet(r recorded) {
	labels := slices.Sorted(slices.Values(r.Labels))
	for i := range h.quiet {
		h.quiet[i] = true
		at, found := slices.BinarySearch(labels, i)
		if !found {
			at--
		}
		if at >= 0 && slices.ContainsFunc(h.changes, func(c change) bool { return c.at == labels[at] }) {
			h.quiet[i] = false
		}
		if slices.ContainsFunc(r.Ambiguous, func(z [2]int) bool { return z[0] <= i && i <= z[1] }) {
			h.quiet[i] = false
		}
	}
}

// median of a list that may be reordered.
func median[T cmp.Ordered](v []T) T {
	slices.Sort(v)
	return v[len(v)/2]
}

func fromLog(m metric.Metric, base, z float64) float64 { return base * math.Exp(m.Sign()*z) }
