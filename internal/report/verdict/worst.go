package verdict

import (
	"math"
	"slices"
	"sort"
)

// Rank orders verdicts, the worst first: those that a policy may let pass come behind those that it may not. A word
// that nobody knows is no measurement.
func Rank(w Word) int {
	order := []Word{Regression, Invalid, BaselineUnavailable, Inconclusive, NoBaseline, Collecting, Improvement, Pass}
	if at := slices.Index(order, w); at >= 0 {
		return at
	}
	return Rank(Invalid)
}

// Green reports whether it is a verdict that nobody has to look at.
func (w Word) Green() bool { return w == Pass || w == Improvement }

// MayBeWorse reports whether the speed is worse or may be: what else may have caused that is asked then.
func (w Word) MayBeWorse() bool { return w == Regression || w == Inconclusive }

// Unjudged reports whether there is too little to compare with, which a policy may let pass.
func (w Word) Unjudged() bool { return w == Collecting || w == NoBaseline }

// Unproven reports whether a verdict was to be had and nothing is proven.
func (w Word) Unproven() bool { return w == Inconclusive || w == Invalid || w == BaselineUnavailable }

// WorstOf is the worst of words, "" where there is none.
func WorstOf(words []Word) Word {
	var worst Word
	for i, w := range words {
		if i == 0 || Rank(w) < Rank(worst) {
			worst = w
		}
	}
	if worst != "" && Rank(worst) == Rank(Invalid) {
		return Invalid
	}
	return worst
}

// Decides reports whether a row can turn a run red.
func (r Row) Decides() bool { return r.Gate && !r.Advisory }

// WrongAnswer reports whether a row is an accuracy gate that failed.
func (r Row) WrongAnswer() bool {
	return r.Decides() && r.Rule == RuleAccuracy && r.Verdict == Regression
}

// Worst is the worst verdict of the rows that can turn a run red, "" where there is none.
func Worst(rows []Row) Word {
	var all []Word
	for _, r := range rows {
		if r.Decides() {
			all = append(all, r.Verdict)
		}
	}
	return WorstOf(all)
}

// ByWeight sorts rows: those that turn the run red first, wrong answers before all, then
// by word and by how much worse they are.
func ByWeight(rows []Row) {
	sort.SliceStable(rows, func(i, j int) bool {
		a, b := rows[i], rows[j]
		if a.Advisory != b.Advisory {
			return !a.Advisory
		}
		if a.WrongAnswer() != b.WrongAnswer() {
			return a.WrongAnswer()
		}
		if x, y := Rank(a.Verdict), Rank(b.Verdict); x != y {
			return x < y
		}
		return a.weight() > b.weight()
	})
}

// weight is how much a row matters among those of its word.
func (r Row) weight() float64 {
	switch {
	case r.Worse == nil:
		return 0
	case r.Verdict == Regression:
		return *r.Worse
	default:
		return math.Abs(*r.Worse)
	}
}

// WorstRow is the worst of the rows that decide and have a verdict, nil if none has.
func WorstRow(rows []Row, word Word) *Row {
	var found []Row
	for _, r := range rows {
		if r.Decides() && r.Verdict == word {
			found = append(found, r)
		}
	}
	if len(found) == 0 {
		return nil
	}
	ByWeight(found)
	return &found[0]
}
