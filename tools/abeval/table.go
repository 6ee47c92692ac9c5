package main

import (
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
)

// cell is one line of the operating table: what is drawn, and what an
// independent implementation of the test gave with 1,600 sessions without a
// change and 800 with one, in percent: passes of unchanged sessions, then
// regressions of those 1, 2, 3 and 5 % worse.
type cell struct {
	series, moved, cases int
	within               float64 // noise of a run within its session, relative sd
	want                 [stepCount]float64
}

func cells() []cell {
	return []cell{
		{1, 1, 1, 0.002, [stepCount]float64{99.9, 0.6, 96.6, 98.0, 99.5}},
		{1, 1, 1, 0.005, [stepCount]float64{98.1, 7.6, 88.5, 97.4, 99.8}},
		{1, 1, 1, 0.007, [stepCount]float64{95.4, 8.4, 74.8, 95.4, 99.5}},
		{1, 1, 1, 0.01, [stepCount]float64{85.1, 5.4, 47.9, 85.8, 98.5}},
		{1, 1, 10, 0.005, [stepCount]float64{98.1, 5.8, 84.2, 96.0, 99.4}},
		{1, 1, 50, 0.005, [stepCount]float64{98.1, 2.2, 70.6, 92.1, 98.6}},
		{3, 3, 1, 0.002, [stepCount]float64{99.4, 0.6, 95.8, 98.2, 99.2}},
		{3, 3, 1, 0.005, [stepCount]float64{97.8, 10.1, 92.4, 96.6, 99.8}},
		{3, 3, 1, 0.007, [stepCount]float64{92.3, 11.9, 83.1, 96.1, 99.6}},
		{3, 3, 1, 0.01, [stepCount]float64{74.1, 10.0, 61.4, 92.2, 98.8}},
		{3, 3, 10, 0.005, [stepCount]float64{97.8, 8.1, 89.4, 95.8, 99.5}},
		{3, 3, 50, 0.005, [stepCount]float64{97.8, 3.4, 77.4, 91.8, 99.4}},
		{3, 1, 1, 0.002, [stepCount]float64{98.9, 0.2, 92.0, 96.6, 98.6}},
		{3, 1, 1, 0.005, [stepCount]float64{97.2, 5.0, 80.6, 95.4, 99.1}},
		{3, 1, 1, 0.007, [stepCount]float64{92.1, 4.5, 61.5, 92.9, 98.8}},
		{3, 1, 1, 0.01, [stepCount]float64{72.9, 3.2, 33.5, 75.8, 97.4}},
		{3, 1, 10, 0.005, [stepCount]float64{97.2, 4.2, 74.9, 93.9, 99.0}},
		{3, 1, 50, 0.005, [stepCount]float64{97.2, 1.5, 59.5, 86.9, 97.0}},
		{8, 8, 1, 0.002, [stepCount]float64{99.5, 0.6, 95.9, 98.1, 99.5}},
		{8, 8, 1, 0.005, [stepCount]float64{96.5, 15.8, 93.1, 97.8, 99.5}},
		{8, 8, 1, 0.007, [stepCount]float64{85.8, 18.6, 83.4, 97.6, 99.6}},
		{8, 8, 1, 0.01, [stepCount]float64{60.0, 11.0, 68.6, 91.9, 98.8}},
		{8, 8, 10, 0.005, [stepCount]float64{96.5, 10.5, 89.9, 96.0, 99.4}},
		{8, 8, 50, 0.005, [stepCount]float64{96.5, 5.8, 79.9, 92.1, 98.1}},
		{8, 1, 1, 0.002, [stepCount]float64{99.4, 0.1, 92.5, 96.4, 98.5}},
		{8, 1, 1, 0.005, [stepCount]float64{95.9, 3.1, 71.8, 90.1, 98.9}},
		{8, 1, 1, 0.007, [stepCount]float64{87.9, 2.5, 47.6, 85.2, 96.5}},
		{8, 1, 1, 0.01, [stepCount]float64{57.6, 2.8, 22.1, 63.5, 94.0}},
		{8, 1, 10, 0.005, [stepCount]float64{95.9, 2.5, 67.4, 85.6, 97.9}},
		{8, 1, 50, 0.005, [stepCount]float64{95.9, 1.0, 51.4, 76.1, 95.0}},
	}
}

const stepCount = 5

// steps are the worsenings of the table; the first column is without one.
func steps() [stepCount]float64 { return [stepCount]float64{0, 0.01, 0.02, 0.03, 0.05} }

// outcome counts how the sessions of one cell and step ended.
type outcome struct {
	sessions, pairs int
	words           map[paired.Word]int
}

func (o outcome) percent(w paired.Word) float64 {
	return 100 * float64(o.words[w]) / float64(o.sessions)
}
func (o outcome) meanPairs() float64 { return float64(o.pairs) / float64(o.sessions) }

// row is a cell with its outcomes, by step.
type row struct {
	cell
	out [stepCount]outcome
}

func operatingTable(seed uint64, sessions, workers int) []row {
	rows := make([]row, len(cells()))
	for k, c := range cells() {
		rows[k].cell = c
	}
	each(len(rows)*stepCount, workers, func(n int) {
		k, i := n/stepCount, n%stepCount
		rows[k].out[i] = rows[k].draw(seed+uint64(k)*16+uint64(i), sessions, steps()[i])
	})
	return rows
}

// each does n things, so many at the same time.
func each(n, workers int, do func(int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, workers)
	for i := range n {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			do(i)
		})
	}
	wg.Wait()
}

// draw plays the sessions of one cell.
func (c cell) draw(seed uint64, sessions int, step float64) outcome {
	g := paired.NewGenerator(seed, paired.Shape{Series: c.series, Moved: c.moved, Cases: c.cases, Within: c.within, MinEffect: minEffect})
	o := outcome{sessions: sessions, words: map[paired.Word]int{}}
	for range sessions {
		end := g.Session(step, paired.MaxPairs)
		o.words[end.Word]++
		o.pairs += end.Pair
	}
	return o
}

func printOperating(w io.Writer, rows []row, sessions int) {
	fmt.Fprintf(w, "## Operating table, %d sessions a cell, min_effect 2 %%, in %%\n\n", sessions)
	fmt.Fprintln(w, "| gating series, moved | cases | within sd | false alarms | pass (pairs) unchanged | 1 % | 2 % (pairs) | 3 % | 5 % (pairs) |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|")
	for _, r := range rows {
		o, red := r.out, paired.Regression
		fmt.Fprintf(w, "| %d, %d | %d | %.1f %% | %.2f | %.1f (%.1f) | %.1f | %.1f (%.1f) | %.1f | %.1f (%.1f) |\n",
			r.series, r.moved, r.cases, 100*r.within, o[0].percent(red), o[0].percent(paired.Pass), o[0].meanPairs(),
			o[1].percent(red), o[2].percent(red), o[2].meanPairs(), o[3].percent(red), o[4].percent(red), o[4].meanPairs())
	}
	fmt.Fprintln(w)
}

// check holds a row against the reference: within 3 points, and twice the sampling
// error of both. Two sessions of either kind are added to a share (Agresti and Coull),
// since a share near 100 % of few sessions is not as certain as its square root says.
func (r row) check(sessions int, check func(bool, string, ...any)) {
	name := fmt.Sprintf("%d series, %d moved, %d cases, %.1f %%", r.series, r.moved, r.cases, 100*r.within)
	check(r.out[0].percent(paired.Regression) <= 1, "%s: %.2f %% false alarms (at most 1)", name, r.out[0].percent(paired.Regression))
	for i, want := range r.want {
		word, reference := paired.Regression, 800.0
		if i == 0 {
			word, reference = paired.Pass, 1600
		}
		p := (want/100*float64(sessions) + 2) / (float64(sessions) + 4)
		slack := 3 + 100*2*math.Sqrt(p*(1-p)*(1/reference+1/float64(sessions)))
		got := r.out[i].percent(word)
		check(math.Abs(got-want) <= slack, "%s, step %.0f %%: %.1f %% (%.1f expected)", name, 100*steps()[i], got, want)
	}
}
