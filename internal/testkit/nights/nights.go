// Package nights generates histories: nights of a suite on clusters, with regressions that open, are mended or
// accepted, and the verdicts that were recorded of them.
package nights

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Suite is what is generated.
type Suite struct {
	Cases    int
	Nights   int
	Clusters []string  // a case is measured on each; empty = one, h200
	Last     time.Time // when the last night began
	Seed     uint64
}

// metrics of a case, at each of its points.
func metrics() []baseline.Measurement {
	return []baseline.Measurement{
		{Metric: "output_token_throughput", Unit: "tok/s", Values: []float64{18000}},
		{Metric: "ttft_median_ms", Unit: "ms", Values: []float64{80}},
		{Metric: "tpot_median_ms", Unit: "ms", Values: []float64{12}},
	}
}

// CaseID is the id of case i.
func CaseID(i int) string {
	models := []string{"deepseek-r1-fp4", "llama3.3-70b-fp8", "gpt-oss-120b", "qwen3-235b-a22b"}
	return fmt.Sprintf("%s_%s_ctx%d_gen%d_case%03d", models[i%len(models)], []string{"1k1k", "8k1k", "1k8k"}[i%3], 1+i%2, 1+i%4, i)
}

// Records gives every record to fn, series by series and each from old to new.
func (s Suite) Records(fn func(baseline.Record) error) error {
	clusters := s.Clusters
	if len(clusters) == 0 {
		clusters = []string{"h200"}
	}
	for i := range s.Cases {
		for k, cluster := range clusters {
			for _, r := range s.series(i, k, cluster) {
				if err := fn(r); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// step is a change for the worse, and how long it stays open.
type step struct {
	at, open int
	accepted bool
	size     float64
}

// series is the history of one case on one cluster. Every fourth case has two steps: one that is accepted after some
// nights, and one that is mended, or open to this day.
func (s Suite) series(i, k int, cluster string) []baseline.Record {
	source := rand.New(rand.NewPCG(s.Seed, uint64(i*16+k)))
	var steps []step
	if i%4 == 1 && s.Nights >= 40 {
		steps = []step{{at: s.Nights / 3, open: 8, accepted: true, size: 0.06}, {at: s.Nights*3/4 + i%7, open: 12, size: 0.05}}
		if i%8 == 1 {
			steps[1].at, steps[1].open = s.Nights-3-i%9, s.Nights
		}
	}
	var out []baseline.Record
	for n := range s.Nights {
		r := s.run(i, n, cluster, source)
		now, level := state(steps, n)
		if now != nil {
			r.Verdict = verdict.Regression
		}
		for m := range r.Measurements {
			at := &r.Measurements[m]
			if now != nil {
				alarm(at, at.Values[0]*(1+worse(*at, level-now.size)), n-now.at)
			}
			at.Values[0] = math.Round(at.Values[0]*(1+worse(*at, level))*(1+0.008*source.NormFloat64())*100) / 100
		}
		r = r.Normal()
		out = append(out, r)
		if now != nil && now.accepted && n == now.at+now.open-1 {
			out = append(out, accept(r))
		}
	}
	return out
}

// state is the step that is open in night n, and the level: how much slower than at first.
func state(steps []step, n int) (open *step, level float64) {
	for i := range steps {
		st := &steps[i]
		switch {
		case n < st.at:
		case n < st.at+st.open:
			return st, level + st.size
		case st.accepted:
			level += st.size
		}
	}
	return nil, level
}

func (s Suite) run(i, n int, cluster string, source *rand.Rand) baseline.Record {
	at := s.Last.AddDate(0, 0, n-s.Nights+1).Add(time.Duration(i) * time.Minute)
	r := baseline.Record{
		Kind: baseline.KindRun, Case: CaseID(i), Match: map[string]string{"gpu_type": "H200", "cluster": cluster, "tp": "8"}, Time: at,
		Source: baseline.SourceOwn, Run: fmt.Sprintf("nightly-%s-%s", cluster, at.Format("20060102")), Tool: "v1", Cluster: cluster, GPU: "H200",
		Container: fmt.Sprintf("trtllm:1.%d", n/30), Valid: true, Verdict: verdict.Pass,
		Beside: baseline.Beside{GPUHours: map[string]float64{"useful": 3, "idle": 1, "repeated": float64(i % 2)}},
		Build:  rundir.Build{Mode: baseline.ModeNightly, Branch: baseline.DefaultBranch, Commit: fmt.Sprintf("%08x%032x", 0x3f2a9100+n*7919, n)},
	}
	node := fmt.Sprintf("%s-node%02d", cluster, source.IntN(8))
	r.Repetitions = []baseline.Repetition{{JobID: fmt.Sprint(90000 + n), Nodes: []string{node}, NodeSet: baseline.NodeGroup([]string{node}), Started: &at}}
	for _, point := range []string{"con8", "con64"} {
		for _, m := range metrics() {
			m.Point, m.Verdict = point, verdict.Pass
			m.Values = []float64{m.Values[0] * (1 + float64(i%9)/5)}
			r.Measurements = append(r.Measurements, m)
		}
	}
	return r
}

// worse is a slowdown as a change of the number.
func worse(m baseline.Measurement, by float64) float64 {
	if m.Unit == "tok/s" {
		return -by
	}
	return by
}

// alarm makes a measurement one of a regression that has been open for some nights. A night that finds its own step
// names no onset.
func alarm(m *baseline.Measurement, before float64, nights int) {
	m.Verdict, m.Open, m.Level = verdict.Regression, nights > 0, before
}

// accept is a person's word that the level of a run is intended.
func accept(r baseline.Record) baseline.Record {
	return baseline.Record{
		Kind: baseline.KindAccept, Case: r.Case, Match: r.Match, Time: r.Time, Build: rundir.Build{Branch: r.Build.Branch},
		Act: &baseline.Act{By: "ana", At: r.Time.Add(8 * time.Hour), Why: "safer kernel, 6 % slower on purpose", Target: r.ID},
	}.Normal()
}
