// Command verdicteval measures the rules of package verdict: it replays
// benchmark histories of public projects and generated ones, run by run, through
// the shipped Judge, and prints how often each rule cries wolf and how soon it
// finds a real change.
//
//	go run ./internal/report/verdict/verdicteval            # everything: a few minutes
//	go run ./internal/report/verdict/verdicteval -series 350
//
// In: testdata/perfdata, seeds. Out: tables on stdout, byte-identical for the
// same arguments, apart from the last line (the time of one judgement).
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		panic(err) // a developer's tool: the trace is welcome
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("verdicteval", flag.ContinueOnError)
	flags.SetOutput(stderr)
	data := flags.String("data", filepath.Join("testdata", "perfdata"), "directory of the recorded histories")
	count := flags.Int("series", 2100, "number of generated series, a multiple of 175 keeps the mix exact")
	seed := flags.Uint64("seed", 1, "seed of the generator")
	workers := flags.Int("workers", runtime.GOMAXPROCS(0), "series judged at the same time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	natural, own, err := load(*data)
	if err != nil {
		return err
	}
	printTable(stdout, "Recorded histories (silver labels), without reruns", natural, naturalRules(), *workers)
	printTable(stdout, "Recorded histories (labels of the projects themselves), without reruns", own, naturalRules(), *workers)
	generated := generate(*seed, *count)
	printTable(stdout, fmt.Sprintf("Generated histories: %d series, seed %d", *count, *seed), generated, syntheticRules(), *workers)
	printFamilies(stdout, generated, *workers)
	printCost(stdout, generated[0])
	return nil
}

// printCost measures one judgement against a history of 80 runs.
func printCost(w io.Writer, h history) {
	s := h.series(len(h.runs)-1, verdict.Run{ID: "x", Values: h.runs[len(h.runs)-1].Values})
	r := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			verdict.Judge(s, verdict.Policy{})
		}
	})
	fmt.Fprintf(w, "One judgement against %d runs: %d µs\n", len(s.History), r.NsPerOp()/1000)
}
