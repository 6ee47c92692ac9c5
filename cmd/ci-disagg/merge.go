package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	merge "github.com/ci-disagg/ci-disagg/internal/report/oldmerge"
)

// mergeOptions are the flags of merge.
type mergeOptions struct {
	Output   string
	Name     string
	RoleFrom string
	Roles    []string
	NoFold   bool
	NoCaps   bool
	Strict   bool
	Flaky    string
	Cases    string
	Quiet    bool
}

// AddFlags defines the flags of merge.
func (o *mergeOptions) AddFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&o.Output, "output", "o", "junit.xml", "the report to write; - is standard output")
	f.StringVar(&o.Name, "name", "merged", "name of the report; with --role-from the stage that all suites begin with")
	f.StringVar(&o.RoleFrom, "role-from", "", "path pattern that tells the role of a file: roles/{role}/results.{rank}.xml")
	f.StringSliceVar(&o.Roles, "roles", nil, "with --role-from: roles that must have left a file")
	f.BoolVar(&o.NoFold, "no-fold", false, "keep cases of one name apart")
	f.BoolVar(&o.NoCaps, "no-caps", false, "cut no text")
	f.BoolVar(&o.Strict, "strict-xsd", false, "leave out what junit-10.xsd does not allow")
	f.StringVar(&o.Flaky, "flaky", "pass", "how a test counts that passed only when repeated: pass, fail or skip")
	f.StringVar(&o.Cases, "cases", "all", "with --role-from: all, or verdict for one red case per bug")
	f.BoolVarP(&o.Quiet, "quiet", "q", false, "print nothing but errors")
}

func newMergeCmd(h host) *cobra.Command {
	var o mergeOptions
	c := &cobra.Command{
		Use:   "merge FILE|DIR|GLOB...",
		Short: "Merge JUnit files into one report",
		Long: `Merge JUnit files into one report that counts right and loses nothing.

Directories are searched for *.xml, hidden ones below them left out; in globs,
** stands for any directories. Broken files are salvaged up to the last complete
test case and appear as a red case of their own. Suites of one name become one;
of several cases of one name the worst counts, except in a pytest file that
counts them as one test: there they are attempts, and the last counts.

With --role-from the files belong to roles of a run, and the report says for
each test what each role saw. In the pattern {role}, {rank}, {rep}, {attempt}
and {case} stand for parts of the path, * and ? for characters within a name, **
for directories; it has to match the end of the path.

The report of the last time, found in a directory or by a glob, is no input.

Exit codes: 0 all is green, 1 something is red, missing or could not be read, 2
usage, 3 the report could not be written.`,
		Example: `  ci-disagg merge -o junit.xml 'build/**/TEST-*.xml'
  ci-disagg merge --name gb200 --role-from '{case}/{role}/results.{rank}.xml' run/`,
		RunE: func(_ *cobra.Command, args []string) error { return runMerge(h, o, args) },
	}
	o.AddFlags(c)
	return c
}

func runMerge(h host, o mergeOptions, args []string) error {
	if err := o.check(args); err != nil {
		return usageErr(err)
	}
	cwd, err := h.getwd()
	if err != nil {
		return usageErr(err)
	}
	found := newFinder(cwd, o.Output)
	for _, arg := range args {
		if err := found.find(arg); err != nil {
			return usageErr(err)
		}
	}
	var roles merge.Input
	if o.RoleFrom != "" {
		if roles, err = o.roleInput(found.files, found.missing); err != nil {
			return usageErr(err)
		}
	}
	sum, err := o.merge(h, found, roles)
	if err != nil {
		return &endError{code: exitInfra, err: fmt.Errorf("merge: %w", err)}
	}
	summary := h.stdout
	if o.Output == stdoutName {
		summary = h.stderr
	}
	if !o.Quiet {
		printMerge(summary, o.Output, sum)
	}
	if sum.Counts.Red() > 0 {
		return &endError{code: exitTestFailed}
	}
	return nil
}

// merge makes the report and puts it where it is wanted.
func (o *mergeOptions) merge(h host, found *finder, roles merge.Input) (sum merge.Summary, err error) {
	to, err := placeFor(o.Output)
	if err != nil {
		return sum, err
	}
	defer to.remove()
	// Memory is bounded, so garbage may lie until there is much of it.
	const seldom, much = 400, 40 << 20 // percent, bytes
	debug.SetGCPercent(seldom)
	debug.SetMemoryLimit(much)
	mo := merge.Options{
		NoCaps: o.NoCaps, StrictXSD: o.Strict, Flaky: merge.Flaky(o.Flaky), Verdict: o.Cases == "verdict", Mode: to.mode,
	}
	if o.RoleFrom == "" {
		sum, err = merge.Files(merge.FilesInput{Name: o.Name, Files: found.files, NoFold: o.NoFold, Missing: found.missing}, to.path, mo)
	} else {
		sum, err = merge.Merge(roles, to.path, mo)
	}
	if err != nil {
		return sum, err
	}
	return sum, to.deliver(h.stdout)
}

func (o *mergeOptions) check(args []string) error {
	var errs []error
	if len(args) == 0 {
		errs = append(errs, errors.New("merge: no file, directory or glob given"))
	}
	if info, err := os.Stat(o.Output); o.Output == "" || strings.HasSuffix(o.Output, "/") || err == nil && info.IsDir() {
		errs = append(errs, fmt.Errorf("merge: -o %q is no file name", o.Output))
	}
	if !slices.Contains([]string{"pass", "fail", "skip"}, o.Flaky) {
		errs = append(errs, fmt.Errorf("merge: --flaky=%s: use pass, fail or skip", o.Flaky))
	}
	if !slices.Contains([]string{"all", "verdict"}, o.Cases) {
		errs = append(errs, fmt.Errorf("merge: --cases=%s: use all or verdict", o.Cases))
	}
	if o.RoleFrom == "" && (len(o.Roles) > 0 || o.Cases == "verdict") {
		errs = append(errs, errors.New("merge: --roles and --cases need --role-from"))
	}
	if o.RoleFrom != "" && !strings.Contains(o.RoleFrom, "{role}") {
		errs = append(errs, fmt.Errorf("merge: --role-from=%s: the pattern has no {role}", o.RoleFrom))
	}
	if o.RoleFrom != "" && o.NoFold {
		errs = append(errs, errors.New("merge: --no-fold does not go with --role-from"))
	}
	return errors.Join(errs...)
}

// printMerge prints the summary: one screen, worst first.
func printMerge(w io.Writer, path string, s merge.Summary) {
	word := "PASSED"
	if s.Counts.Red() > 0 {
		word = "FAILED"
	}
	fmt.Fprintf(w, "%s  %s\n", word, s.Counts)
	const most = 10
	for i, r := range s.Red {
		if i == most {
			fmt.Fprintf(w, "  ... and %d more\n", s.Counts.Red()-most)
			break
		}
		fmt.Fprintf(w, "  %s.%s: %s\n", r.Classname, r.Name, clipLine(r.Message))
	}
	broken := 0
	for _, f := range s.Files {
		if f.Problem != "" {
			if broken++; broken <= most {
				fmt.Fprintf(w, "  broken: %s\n", clipLine(f.Problem))
			}
		}
	}
	for i, warning := range s.Warnings {
		if i == most/2 {
			fmt.Fprintf(w, "  ... and %d warnings more\n", len(s.Warnings)-i)
			break
		}
		fmt.Fprintf(w, "  warning: %s\n", clipLine(warning))
	}
	fmt.Fprintf(w, "%s: %d cases of %d files, %d folded, %d added, %d bytes of text cut, %d bytes\n",
		path, s.In, len(s.Files), s.Folded, s.Synthetic, s.Cut, s.Bytes)
}

// clip bounds a line of the summary.
func clipLine(s string) string {
	const limit = 160
	r := []rune(s)
	if len(r) <= limit {
		return s
	}
	return string(r[:limit-1]) + "…"
}
