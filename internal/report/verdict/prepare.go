package verdict

import (
	"fmt"
	"math"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
)

// maxRuns is how many past runs are looked at: far more than a level needs, so
// that a regression stays open for as long as anyone could care.
const maxRuns = 2000

// badValue says why a value is no measurement, "" if it is one. Every rule
// compares ratios, so that zero and negative values mean nothing.
func badValue(v float64) string {
	switch {
	case math.IsNaN(v):
		return "not a number"
	case math.IsInf(v, 0):
		return "infinite"
	case v == 0:
		return "zero"
	case v < 0:
		return "negative"
	default:
		return ""
	}
}

// checkValues says why the new run cannot be judged, "" if it can.
func checkValues(values []float64) string {
	if len(values) == 0 {
		return "the run has no value of this metric"
	}
	for q, v := range values {
		if why := badValue(v); why != "" {
			if len(values) == 1 {
				return fmt.Sprintf("the value %v is %s: not a measurement", v, why)
			}
			return fmt.Sprintf("repetition %d of %d: the value %v is %s: not a measurement", q+1, len(values), v, why)
		}
	}
	return ""
}

// past is the usable history before the judged run: runs with good values only,
// and nothing from the judged run's own record on, so that judging a stored run
// again gives what it gave then. dropped counts the runs without a good value.
func past(s Series) (runs []Run, dropped int) {
	hist := s.History
	if s.New.ID != "" {
		if at := slices.IndexFunc(hist, func(r Run) bool { return r.ID == s.New.ID }); at >= 0 {
			hist = hist[:at]
		}
	}
	if len(hist) > maxRuns {
		hist = hist[len(hist)-maxRuns:]
	}
	if !slices.ContainsFunc(hist, hasBadValue) {
		return hist, 0
	}
	runs = make([]Run, 0, len(hist))
	for _, r := range hist {
		if !hasBadValue(r) {
			runs = append(runs, r)
			continue
		}
		r.Slower, r.Values, r.NodeSets = goodValues(r)
		if len(r.Values) == 0 {
			dropped++
			continue
		}
		runs = append(runs, r)
	}
	return runs, dropped
}

func hasBadValue(r Run) bool {
	return len(r.Values) == 0 || slices.ContainsFunc(r.Values, func(v float64) bool { return badValue(v) != "" })
}

// goodValues are the values of a run that are measurements, with what is known of them.
func goodValues(r Run) (slower, values []float64, nodes []string) {
	for q, v := range r.Values {
		if badValue(v) == "" {
			slower = append(slower, r.slower(q))
			values = append(values, v)
			nodes = append(nodes, r.node(q))
		}
	}
	return slower, values, nodes
}

// node is the node group of value q, "" = unknown.
func (r Run) node(q int) string {
	if q < len(r.NodeSets) {
		return r.NodeSets[q]
	}
	return r.NodeSet
}

// slower is how much worse value q is, in logs, for a machine that is known to be slow.
func (r Run) slower(q int) float64 {
	if q < len(r.Slower) {
		return r.Slower[q]
	}
	return 0
}

// load turns runs into what the scan works on: natural logs, up is worse, the
// node effect taken out. shift is what was subtracted from the newest run's first
// value.
func load(past []Run, newest Run, sign float64) (d *bws.Data, shift float64) {
	runs := append(past[:len(past):len(past)], newest)
	logs := make([][]float64, len(runs))
	for j, r := range runs {
		logs[j] = make([]float64, len(r.Values))
		for q, v := range r.Values {
			logs[j][q] = sign*math.Log(v) - r.slower(q)
		}
	}
	d = bws.NewData(logs)
	offsets := bws.NodeOffsets(nodesOf(past), d.Y[:len(past)])
	if len(offsets) == 0 {
		return d, 0
	}
	for j, r := range runs {
		for q := range logs[j] {
			logs[j][q] -= offsets[r.node(q)]
		}
	}
	return bws.NewData(logs), offsets[newest.node(0)]
}
