// Command verdicteval measures the rules of package verdict: it replays
// benchmark histories of public projects, the same with steps injected, and
// generated ones, run by run, through the shipped Judge, and prints how often each rule cries wolf and how soon it
// finds a real change.
//
//	go run ./tools/verdicteval            # everything: a few minutes
//	go run ./tools/verdicteval -series 350
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
	quick := flags.Bool("quick", false, "only the special series and the nights")
	if err := flags.Parse(args); err != nil {
		return err
	}
	natural, own, err := load(*data)
	if err != nil {
		return err
	}
	var c checks
	printQuiet(stdout, *seed, &c)
	printLife(stdout, *seed, &c)
	printCoverage(stdout, *seed, &c)
	if err := printH200(stdout, *data, &c); err != nil {
		return err
	}
	printNights(stdout, natural, *workers, &c)
	if *quick {
		return c.print(stdout)
	}
	t := printTable(stdout, "Recorded histories, silver labels, nothing can be run again", natural, naturalRules(), *workers)
	c.natural(t)
	printFamilies(stdout, natural, pick(naturalRules(), "bws", "upstream 5 %", "upstream 10 %, exemption", "fixed 5 %"), *workers)
	printTable(stdout, "Recorded histories, labels of the projects themselves", own, naturalRules(), *workers)
	injected := inject(natural, *seed)
	printTable(stdout, fmt.Sprintf("Steps injected into recorded histories, seed %d; neighbouring runs stand in for repetitions", *seed), injected, injectedRules(), *workers)
	printFamilies(stdout, injected, pick(injectedRules(), "bws + rerun", "upstream 5 %", "upstream 10 %, exemption", "fixed 5 %"), *workers)
	generated := generate(*seed, *count)
	t = printTable(stdout, fmt.Sprintf("Generated histories, seed %d", *seed), generated, syntheticRules(), *workers)
	c.synthetic(t)
	printFamilies(stdout, generated, pick(syntheticRules(), "bws + rerun", "upstream 5 %", "upstream 10 %, exemption", "fixed 5 %"), *workers)
	c.cost(oneJudgement(generated[0]))
	return c.print(stdout)
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

func (c *checks) natural(rules map[string]tally) {
	t := rules["bws"]
	c.check(t.per100(t.alarms) <= 0.65, "recorded, bws: %.2f false alarms per 100 (at most 0.65)", t.per100(t.alarms))
	c.check(t.within(0, 3) >= 85, "recorded, bws: %.0f %% of the changes found within 15 runs (at least 85)", t.within(0, 3))
}

func (c *checks) synthetic(rules map[string]tally) {
	t := rules["bws + rerun"]
	c.check(t.per100(t.alarms) <= 0.2, "generated, bws + rerun: %.2f false alarms per 100 (at most 0.2)", t.per100(t.alarms))
	c.check(t.per100(t.reruns) <= 5.5, "generated, bws + rerun: %.1f reruns per 100 unchanged runs (at most 5.5)", t.per100(t.reruns))
	for _, want := range []change{{30, 0.02}, {50, 0.03}, {75, 0.05}, {95, 0.10}} {
		got := t.within(want.size, 2)
		c.check(got >= float64(want.at), "generated, bws + rerun: %.0f %% of the steps of %.0f %% found within 5 runs (at least %d)", got, 100*want.size, want.at)
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
