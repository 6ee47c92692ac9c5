// Package accuracy holds the scores of an accuracy run against references, by
// upstream's one-sided hypothesis test.
//
// In: scores and gates. Out: a verdict per gate and score. It is pure.
package accuracy

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/bench"
)

// Gate is one gate on an accuracy run: upstream's one-sided hypothesis
// test. Zero values mean the data set's default.
type Gate struct {
	Dataset        string  `yaml:"dataset_name"`
	Task           string  `yaml:"task"`                                  // lm_eval's task, default: the data set's name
	Expected       float64 `yaml:"expected_value"`                        // reference; at most 1 = a share, else percent
	ThresholdType  string  `yaml:"threshold_type" enum:"hypothesis_test"` // hypothesis_test, the default
	Filter         string  `yaml:"filter_type"`                           // default flexible-extract
	Alpha          float64 `yaml:"alpha"`                                 // chance to fail a run that is as good as the reference
	Sigma          float64 `yaml:"sigma"`                                 // standard deviation of one answer, in percent
	Samples        int     `yaml:"num_samples"`
	HigherIsBetter *bool   `yaml:"higher_is_better"`
}

// Verdict is the outcome of one gate on one score.
type Verdict struct {
	Gate      Gate        // with all defaults filled in
	Score     bench.Score // the zero Score if there is none that proves anything
	Threshold float64     // percent
	Pass      bool
	Text      string // one line: measured, required, expected
}

// Worse reports whether a score is worse by its gate than another one of the same gate. One that proves nothing is
// better than a wrong one only.
func (v Verdict) Worse(o Verdict) bool {
	if v.rank() != o.rank() {
		return v.rank() > o.rank()
	}
	if *v.Gate.HigherIsBetter {
		return v.Score.Value-v.Threshold < o.Score.Value-o.Threshold
	}
	return v.Score.Value-v.Threshold > o.Score.Value-o.Threshold
}

func (v Verdict) rank() int {
	switch {
	case v.Pass:
		return 0
	case v.Score.Task == "":
		return 1
	default:
		return 2
	}
}

// datasetDefaults are upstream's test parameters by data set.
func datasetDefaults(dataset string) (alpha, sigma float64, samples int, higher, ok bool) {
	switch dataset {
	case "gsm8k":
		return 0.05, 50, 1319, true, true
	case "mmlu":
		return 0.05, 50, 4096, true, true
	case "gpqa", "gpqa_diamond":
		return 0.05, 50, 198, true, true
	case "humaneval":
		return 0.002, 15.08, 164, true, true
	case "cnn_dailymail":
		return 0.002, 11.06, 512, true, true
	case "json_mode_eval":
		return 0.05, 50, 100, true, true
	case "mmmu":
		return 0.05, 50, 900, true, true
	case "zero_scrolls":
		return 0.002, 6.97, 80, true, true
	case "slimpajama-6b":
		return 0.01, 4.48, 86, false, true
	default:
		return 0, 0, 0, false, false
	}
}

// Complete fills in the defaults of the data set. A data set that nobody knows
// is an error unless alpha, sigma, num_samples and higher_is_better are all
// given: guessing them would gate on numbers that mean nothing.
func (a Gate) Complete() (Gate, error) {
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("accuracy of %q: "+format, append([]any{a.Dataset}, args...)...))
	}
	if a.Dataset == "" {
		bad("dataset_name is missing")
	}
	alpha, sigma, samples, higher, known := datasetDefaults(strings.ToLower(a.Dataset))
	if !known && (a.Alpha == 0 || a.Sigma == 0 || a.Samples == 0 || a.HigherIsBetter == nil) {
		bad("this data set is not known; give alpha, sigma, num_samples and higher_is_better")
	}
	a.Alpha, a.Sigma, a.Samples = cmp.Or(a.Alpha, alpha), cmp.Or(a.Sigma, sigma), cmp.Or(a.Samples, samples)
	if a.HigherIsBetter == nil {
		a.HigherIsBetter = &higher
	}
	a.Task, a.Filter = cmp.Or(a.Task, a.Dataset), cmp.Or(a.Filter, "flexible-extract")
	a.ThresholdType = cmp.Or(a.ThresholdType, "hypothesis_test")
	if a.ThresholdType != "hypothesis_test" {
		bad("threshold_type %q is not known; only hypothesis_test is", a.ThresholdType)
	}
	if *a.HigherIsBetter { // else the score tells a share
		a.inPercent(bad)
	}
	if known || len(problems) == 0 {
		if !(a.Alpha > 0 && a.Alpha < 1) {
			bad("alpha %v is not between 0 and 1", a.Alpha)
		}
		if !(a.Sigma > 0) || a.Samples < 1 {
			bad("sigma and num_samples must be above 0")
		}
	}
	if limit := a.Threshold(); len(problems) == 0 && *a.HigherIsBetter && limit <= 0 {
		bad("no score fails this gate, which demands %.2f %%: num_samples %d is too few for sigma %v", limit, a.Samples, a.Sigma)
	}
	return a, errors.Join(problems...)
}

// inPercent makes the reference a percentage.
func (a *Gate) inPercent(bad func(string, ...any)) {
	share := a.Expected > 0 && a.Expected <= 1
	if share && a.Sigma > 0 && a.Sigma <= 1 {
		bad("expected_value %v is a share, and sigma %v is in percent: write sigma as %.4g, or, if that is what you mean, expected_value as %.4g",
			a.Expected, a.Sigma, 100*a.Sigma, 100*a.Expected)
	}
	if share {
		a.Expected *= 100
	}
	if !(a.Expected > 0 && a.Expected <= 100) {
		bad("expected_value %v is not a share or a percentage above 0", a.Expected)
	}
}

// Threshold is the value, in percent, that a score must reach (or stay below
// where lower is better): reference + z(alpha) * sqrt(2 sigma² / n). The test
// must be complete.
func (a Gate) Threshold() float64 {
	z := math.Sqrt2 * math.Erfinv(2*a.Alpha-1) // below zero for alpha < 0.5
	margin := z * math.Sqrt(2*a.Sigma*a.Sigma/float64(a.Samples))
	if a.HigherIsBetter != nil && !*a.HigherIsBetter {
		margin = -margin
	}
	return a.Expected + margin
}

// Check applies the gates to the scores of a run. A run that evaluated
// a data set more than once (before and after the benchmark) must pass each
// time. A gate without a score fails: nothing measured is nothing shown. The
// error says what is wrong with the gates themselves.
func Check(scores []bench.Score, gates []Gate) ([]Verdict, error) {
	var out []Verdict
	var problems []error
	for _, g := range gates {
		g, err := g.Complete()
		if err != nil {
			problems = append(problems, err)
			continue
		}
		out = append(out, g.check(scores)...)
	}
	return out, errors.Join(problems...)
}

// unfit says why a score proves nothing: too few samples, or a value that no
// measurement can have.
func (a Gate) unfit(s bench.Score) string {
	limit, _ := strconv.ParseFloat(s.Limited, 64)
	switch {
	case s.Samples > 0 && s.Samples < a.Samples:
		return fmt.Sprintf("%s was measured with %d samples, and the gate is one for %d: run all of them, or give its num_samples", a.Task, s.Samples, a.Samples)
	case s.Samples == 0 && s.Limited != "" && s.Limited != "None" && limit < float64(a.Samples):
		return fmt.Sprintf("%s was measured with a part of the samples (--limit %s), and the gate is one for %d: run all of them", a.Task, s.Limited, a.Samples)
	case *a.HigherIsBetter && s.Value > 100:
		return fmt.Sprintf("%s (%s, %s) is %.2f, which is no percentage", a.Task, s.Metric, s.Filter, s.Value)
	default:
		return ""
	}
}

// of is the gate in the unit of a score. Where lower is better, that alone tells a share from a perplexity below 1.
func (a Gate) of(s bench.Score) Gate {
	if *a.HigherIsBetter || a.Expected > 1 || s.Unit != "%" {
		return a
	}
	if a.Expected *= 100; a.Sigma <= 1 {
		a.Sigma *= 100
	}
	return a
}

func (a Gate) check(scores []bench.Score) []Verdict {
	var out []Verdict
	var seen []string
	for _, s := range scores {
		if !strings.EqualFold(s.Task, a.Task) {
			continue
		}
		if s.Filter != a.Filter {
			seen = append(seen, s.Filter)
			continue
		}
		a := a.of(s)
		threshold := a.Threshold()
		if why := a.unfit(s); why != "" {
			out = append(out, Verdict{Gate: a, Threshold: threshold, Text: why})
			continue
		}
		v := Verdict{Gate: a, Score: s, Threshold: threshold}
		op := ">="
		v.Pass = s.Value >= threshold
		if !*a.HigherIsBetter {
			op, v.Pass = "<=", s.Value <= threshold
		}
		v.Text = fmt.Sprintf("%s (%s, %s) is %.2f, required %s %.2f, expected %.2f", a.Task, s.Metric, s.Filter, s.Value, op, threshold, a.Expected)
		if s.Samples == 0 && s.Limited == "" {
			v.Text += fmt.Sprintf("; nothing says whether of all %d samples", a.Samples)
		}
		out = append(out, v)
	}
	if len(out) > 0 {
		return out
	}
	text := fmt.Sprintf("%s was not measured", a.Task)
	if len(seen) > 0 {
		slices.Sort(seen)
		text = fmt.Sprintf("%s was not measured with the filter %s, only with %s", a.Task, a.Filter, strings.Join(slices.Compact(seen), ", "))
	}
	return []Verdict{{Gate: a, Threshold: a.Threshold(), Text: text}}
}
