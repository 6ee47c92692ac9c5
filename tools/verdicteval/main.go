// Command verdicteval measures the rules of package verdict: it replays
// benchmark histories of public projects, the same with steps injected, and
// generated ones, run by run, through the shipped Judge, and prints how often each rule cries wolf and how soon it
// finds a real change.
//
//	go run ./tools/verdicteval            # everything: many minutes of a processor
//	go run ./tools/verdicteval -only nights
//	go run ./tools/verdicteval -only generated -series 350
//
// In: testdata/perfdata, seeds. Out: tables on stdout, byte-identical for the
// same arguments, apart from the last line (the time of one judgement). It fails
// when the numbers that the rule has to reach are missed.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		log.Fatal(err)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("verdicteval", flag.ContinueOnError)
	flags.SetOutput(stderr)
	data := flags.String("data", filepath.Join("testdata", "perfdata"), "directory of the recorded histories")
	count := flags.Int("series", 2100, "number of generated series, a multiple of 175 keeps the mix exact")
	seed := flags.Uint64("seed", 1, "seed of the generator")
	workers := flags.Int("workers", runtime.GOMAXPROCS(0), "series judged at the same time")
	only := flags.String("only", "", "one of special, modes, lemons, nights, fleet, recorded, injected, generated; all of them without it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var err error
	e := evaluation{w: stdout, data: *data, seed: *seed, count: *count, workers: *workers}
	if e.natural, e.own, err = load(*data); err != nil {
		return err
	}
	return e.run(*only)
}

// evaluation is what is measured, and where it is printed.
type evaluation struct {
	w            io.Writer
	data         string
	seed         uint64
	count        int
	workers      int
	natural, own []history
	checks       checks
}

// run measures all parts or one.
func (e *evaluation) run(only string) error {
	parts := []struct {
		name    string
		measure func() error
	}{
		{"special", e.special},
		{"modes", e.modes},
		{"lemons", e.lemons},
		{"nights", e.nights},
		{"fleet", e.fleet},
		{"recorded", e.recorded},
		{"injected", e.injected},
		{"generated", e.generated},
	}
	found := false
	for _, p := range parts {
		if only != "" && only != p.name {
			continue
		}
		found = true
		if err := p.measure(); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("-only %s: there is no such part", only)
	}
	return e.checks.print(e.w)
}

func (e *evaluation) special() error {
	printQuiet(e.w, e.seed, &e.checks)
	printLife(e.w, e.seed, &e.checks)
	printCoverage(e.w, e.seed, &e.checks)
	printCreep(e.w, e.seed, &e.checks)
	printCreepInCase(e.w, e.seed, &e.checks)
	printBisect(e.w, e.seed, &e.checks)
	return printH200(e.w, e.data, &e.checks)
}

func (e *evaluation) modes() error {
	printModes(e.w, e.seed, e.workers, &e.checks)
	return nil
}

func (e *evaluation) lemons() error {
	printLemons(e.w, e.seed, e.workers, &e.checks)
	return nil
}

func (e *evaluation) nights() error {
	printNights(e.w, e.natural, e.workers, &e.checks)
	return nil
}

func (e *evaluation) fleet() error {
	printFleet(e.w, e.seed, e.workers, &e.checks)
	return nil
}

func (e *evaluation) recorded() error {
	m := printTable(e.w, "Recorded histories, silver labels, nothing can be run again", e.natural, naturalRules(), e.workers)
	e.checks.natural(m)
	m.printFamilies(e.w, e.natural, "bws", "upstream 5 %", "upstream 10 %, exemption", "fixed 5 %")
	printTable(e.w, "Recorded histories, labels of the projects themselves", e.own, naturalRules(), e.workers)
	return nil
}

func (e *evaluation) injected() error {
	all := inject(e.natural, e.seed)
	title := fmt.Sprintf("Steps injected into recorded histories, seed %d; neighbouring runs stand in for repetitions", e.seed)
	m := printTable(e.w, title, all, injectedRules(), e.workers)
	m.printFamilies(e.w, all, "bws + rerun", "upstream 5 %", "upstream 10 %, exemption", "fixed 5 %")
	e.checks.coverage("injected", m)
	return nil
}

func (e *evaluation) generated() error {
	all := generate(e.seed, e.count)
	m := printTable(e.w, fmt.Sprintf("Generated histories, seed %d", e.seed), all, syntheticRules(), e.workers)
	e.checks.synthetic(m)
	m.printFamilies(e.w, all, "bws + rerun", "upstream 5 %", "upstream 10 %, exemption", "fixed 5 %")
	e.checks.coverage("generated", m)
	e.checks.cost(oneJudgement(all[0]))
	return nil
}

// checks are the numbers that the rule has to reach.
type checks struct{ lines, missed []string }

func (c *checks) check(ok bool, format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if !ok {
		c.missed = append(c.missed, line)
		line += "  MISSED"
	}
	c.lines = append(c.lines, line)
}

func (c *checks) natural(m measured) {
	t := sum(m["bws"])
	c.check(t.per100(t.alarms) < 0.555, "recorded, bws: %.3f false alarms per 100, %d of %d (at most 0.55, to two digits)", t.per100(t.alarms), t.alarms, t.quiet)
	c.check(t.within(0, 3) >= 85, "recorded, bws: %.0f %% of the changes found within 15 runs (at least 85)", t.within(0, 3))
}

func (c *checks) synthetic(m measured) {
	t := sum(m["bws"])
	c.check(t.per100(t.alarms) <= 0.55, "generated, bws: %.2f false alarms per 100 (at most 0.55)", t.per100(t.alarms))
	t = sum(m["bws + rerun"])
	c.check(t.per100(t.alarms) <= 0.2, "generated, bws + rerun: %.2f false alarms per 100 (at most 0.2)", t.per100(t.alarms))
	c.check(t.per100(t.reruns) <= 5.5, "generated, bws + rerun: %.1f reruns per 100 unchanged runs (at most 5.5)", t.per100(t.reruns))
	for _, want := range []change{{30, 0.02}, {50, 0.03}, {75, 0.05}, {95, 0.10}} {
		got := t.within(want.size, 2)
		c.check(got >= float64(want.at), "generated, bws + rerun: %.0f %% of the steps of %.0f %% found within 5 runs (at least %d)", got, 100*want.size, want.at)
	}
}

// coverage is how often the interval that the third run shows holds the injected step,
// alarmed or not.
func (c *checks) coverage(what string, m measured) {
	for _, rule := range []string{"bws", "bws + rerun"} {
		t := sum(m[rule])
		got := share(t.held, t.shown)
		c.check(got >= 85 && got <= 97, "%s, %s: the interval on the third run holds the true step in %.1f %% of %d (85 to 97)", what, rule, got, t.shown)
	}
}

func (c *checks) cost(r testing.BenchmarkResult) {
	c.check(r.NsPerOp() < 1e6, "one judgement against 89 runs takes %.2f ms (less than 1)", float64(r.NsPerOp())/1e6)
}

func (c *checks) print(w io.Writer) error {
	fmt.Fprint(w, "## To reach\n\n")
	for _, line := range c.lines {
		fmt.Fprintln(w, "-", line)
	}
	if len(c.missed) > 0 {
		return fmt.Errorf("missed: %s", strings.Join(c.missed, "; "))
	}
	return nil
}

// oneJudgement measures the judgement of the last run of a history.
func oneJudgement(h history) testing.BenchmarkResult {
	i := len(h.runs) - 1
	s := h.series(i, h.runs[i])
	return testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			verdict.Judge(s, verdict.Policy{})
		}
	})
}
