// Command rooms measures the packages of a Go module: lines, function lengths, complexity, methods and fields per type,
// exported names, fan-in and fan-out.
//
//	rooms [-check] [DIR]
//
// In: the Go files below DIR, testdata left out. Out: one line per package. With -check the limits of limits.go are
// held: what is over one of them and is not on the list of what is still to shrink is a failure, and so is an entry of
// that list which has shrunk.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
)

func main() {
	check := flag.Bool("check", false, "hold the limits instead of printing the measures")
	flag.Parse()
	dir := "."
	if flag.NArg() > 0 {
		dir = flag.Arg(0)
	}
	if err := run(dir, *check, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "rooms:", err)
		os.Exit(1)
	}
}

func run(dir string, check bool, out io.Writer) error {
	packages, err := measure(dir)
	if err != nil {
		return err
	}
	if check {
		return hold(packages, shrinking(), out)
	}
	return table(packages, out)
}

func table(packages []*pkg, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "lines\ttests\tfuncs\tmedian\tp95\tmax\tcognitive\tcyclomatic\tmethods\tfields\texported\tin\tout\t package")
	lines, tests := 0, 0
	for _, p := range packages {
		slices.Sort(p.lengths)
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t %s\n", p.lines, p.tests, len(p.lengths),
			quantile(p.lengths, 50), quantile(p.lengths, 95), quantile(p.lengths, 100), p.cognitive, p.cyclomatic,
			most(p.methods), most(p.fields), p.exported, len(p.in), len(p.out), p.dir)
		lines, tests = lines+p.lines, tests+p.tests
	}
	fmt.Fprintf(w, "%d\t%d\t\t\t\t\t\t\t\t\t\t\t\t total\n", lines, tests)
	return w.Flush()
}

func quantile(sorted []int, percent int) int {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)-1)*percent/100]
}

func most(counts map[string]int) int {
	n := 0
	for _, c := range counts {
		n = max(n, c)
	}
	return n
}

// hold compares the packages with the limits. The list says what may be over its limit for now.
func hold(packages []*pkg, list map[string]int, out io.Writer) error {
	over := map[string]string{} // what, by its name in the list
	var grown []error
	exceeds := func(what string, n, limit int) {
		if n <= limit {
			return
		}
		over[what] = fmt.Sprintf("%d, the limit is %d", n, limit)
		if most, listed := list[what]; listed && n > most {
			grown = append(grown, fmt.Errorf("%s has grown to %d: it was to shrink from %d to %d", what, n, most, limit))
		}
	}
	for _, l := range limits() {
		exceeds("lines of room "+l.name, l.size(packages), l.lines)
	}
	for _, p := range packages {
		if !limited(p.dir) {
			exceeds("lines of package "+p.dir, p.lines, maxPackage)
		}
		for file, n := range p.files {
			exceeds("lines of file "+file, n, maxFile)
		}
		for _, at := range p.wide {
			grown = append(grown, fmt.Errorf("%s: a comment of more than %d columns", at, maxColumns))
		}
		for name, n := range p.methods {
			exceeds("methods of "+p.dir+"."+name, n, maxMethods)
		}
		for name, n := range p.fields {
			exceeds("fields of "+p.dir+"."+name, n, maxFields)
		}
	}
	return errors.Join(append(grown, compare(over, slices.Sorted(maps.Keys(list)), out))...)
}

// limited reports whether dir is a room with a limit of its own.
func limited(dir string) bool {
	return slices.ContainsFunc(limits(), func(l limit) bool { return l.name == dir })
}

// compare fails for what is over and not on the list, and for what is on the list and not over.
func compare(over map[string]string, list []string, out io.Writer) error {
	var errs []error
	for _, what := range list {
		now, ok := over[what]
		if !ok {
			errs = append(errs, fmt.Errorf("%s is within its limit: take it off the list in tools/rooms/limits.go", what))
			continue
		}
		fmt.Fprintf(out, "rooms: still to shrink: %s: %s\n", what, now)
	}
	for what, now := range over {
		if !slices.Contains(list, what) {
			errs = append(errs, fmt.Errorf("%s: %s", what, now))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return slices.Compare([]byte(a.Error()), []byte(b.Error())) })
	return errors.Join(errs...)
}
