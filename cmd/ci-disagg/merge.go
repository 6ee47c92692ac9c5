package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/merge"
	"github.com/ci-disagg/ci-disagg/internal/report/mergeinputs"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/merged"
)

// mergeOptions are the flags of merge.
type mergeOptions struct {
	Output     string
	Name       string
	RoleFrom   string
	Roles      []string
	NoFold     bool
	FoldReruns string
	NoCaps     bool
	Audit      bool
	Flaky      string
	Empty      string
	Labels     []string
	Summary    string
	Quiet      bool
}

// AddFlags defines the flags of merge.
func (o *mergeOptions) AddFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&o.Output, "output", "o", "junit.xml", "the report to write; - is standard output")
	f.StringVar(&o.Name, "name", "merged", "name of the report")
	f.StringVar(&o.RoleFrom, "role-from", "", "glob in which {role} stands for the role that a file is of: roles/{role}/results.*.xml")
	f.StringSliceVar(&o.Roles, "roles", nil, "with --role-from: roles that must have left a file")
	f.BoolVar(&o.NoFold, "no-fold", false, "keep cases of one name apart")
	f.StringVar(&o.FoldReruns, "fold-reruns-between-files", "", "cases of one name in several files are attempts, and the last counts, in order of time; with =named as the files are named. Where the times do not tell which came last, the worst counts")
	f.Lookup("fold-reruns-between-files").NoOptDefVal = mergeinputs.RerunsByTime
	f.BoolVar(&o.NoCaps, "no-caps", false, "cut no text")
	f.BoolVar(&o.Audit, "audit", false, "have an independent reader compare the finished report with what was decided")
	f.StringVar(&o.Flaky, "flaky", "pass", "how a test counts that passed only when repeated: pass, fail or skip")
	f.StringVar(&o.Empty, "empty", "fail", "how a file without any test case counts: fail, skip or pass")
	f.StringArrayVar(&o.Labels, "label", nil, "KEY=VALUE to put into every suite's name and properties and in front of every class, for a cell of a matrix; may be repeated")
	f.StringVar(&o.Summary, "summary", "", "write a summary in Markdown to this file")
	f.BoolVarP(&o.Quiet, "quiet", "q", false, "print nothing but errors")
}

func newMergeCmd(h host) *cobra.Command {
	var o mergeOptions
	c := &cobra.Command{
		Use:   "merge FILE|DIR|GLOB...",
		Short: "Merge JUnit files into one report",
		Long: `Merge JUnit files into one report that counts right and loses nothing. The
output of 'go test -v' and 'go test -json', and CTRF, are read, too; - is
standard input.

Directories are searched for *.xml, hidden ones below them left out; in globs,
** stands for any directories and {a,b} for a or b. Broken files are salvaged up
to the last complete test case and appear as a red case of their own, and so do
files and suites that declare failures, or tests, and show none. Suites of one
name become one; of several cases of one name the worst counts. Only within one
suite of pytest, and only where the suite's own count says so, they are attempts
of one test, and the last counts; in several files only with
--fold-reruns-between-files, and only where it is known which was last.

With --role-from the files belong to roles of a run, and suites of different
roles are kept apart. The report of the last time, found in a directory or by a
glob, is no input.

Exit codes: 0 all is green, 1 something is red, missing or could not be read, 2
usage, 3 the report could not be written, or the audit rejected it.`,
		Example: `  ci-disagg merge -o junit.xml 'build/**/TEST-*.xml'
  ci-disagg merge --label python=3.12 --summary "$GITHUB_STEP_SUMMARY" results/
  ci-disagg merge --role-from 'roles/{role}/results.*.xml' --roles prefill,decode run/`,
		RunE: func(_ *cobra.Command, args []string) error { return runMerge(h, o, args) },
	}
	o.AddFlags(c)
	return c
}

func runMerge(h host, o mergeOptions, args []string) error {
	if err := o.check(args); err != nil {
		return exit.ByUser(err)
	}
	in, err := o.input(h, args)
	if err != nil {
		return exit.ByUser(fmt.Errorf("merge: %w", err))
	}
	sum, err := o.merge(h, in)
	if err == nil && o.Summary != "" {
		err = appendSummary(o.Summary, merged.Markdown(o.Name, sum))
	}
	if err != nil {
		return &exit.Error{Code: exit.Infra, Err: fmt.Errorf("merge: %w", err)}
	}
	to := h.stdout
	if o.Output == mergeinputs.Stdio {
		to = h.stderr
	}
	if !o.Quiet {
		merged.Print(to, o.Output, sum)
	}
	if sum.Counts.Red() > 0 {
		return &exit.Error{Code: exit.TestFailed}
	}
	return nil
}

// input are the files that the arguments name, with their roles.
func (o *mergeOptions) input(h host, args []string) (merge.Input, error) {
	cwd, err := h.getwd()
	if err != nil {
		return merge.Input{}, err
	}
	in, err := mergeinputs.Find(args, cwd, o.Output, h.stdin)
	if err != nil {
		return in, err
	}
	in.Name = o.Name
	if o.RoleFrom != "" {
		err = mergeinputs.AssignRoles(&in, o.RoleFrom, o.Roles)
	}
	return in, err
}

// merge makes the report and puts it where it is wanted.
func (o *mergeOptions) merge(h host, in merge.Input) (sum merge.Result, err error) {
	to, err := mergeinputs.PlaceFor(o.Output)
	if err != nil {
		return sum, err
	}
	defer to.Remove()
	// Memory is bounded, so garbage may lie until there is much of it.
	const seldom, much = 400, 40 << 20 // percent, bytes
	debug.SetGCPercent(seldom)
	debug.SetMemoryLimit(much)
	mo := merge.Options{
		NoFold: o.NoFold, FoldReruns: o.FoldReruns != "", AsNamed: o.FoldReruns == mergeinputs.RerunsAsNamed, NoCaps: o.NoCaps, Audit: o.Audit,
		Flaky: merge.Policy(o.Flaky), Empty: merge.Policy(o.Empty), Mode: to.Mode, Dir: to.Beside(),
	}
	for _, l := range o.Labels {
		key, value, _ := strings.Cut(l, "=")
		mo.Labels = append(mo.Labels, junit.Property{Name: key, Value: value})
	}
	if sum, err = merge.Files(in, to.Path, mo); err != nil {
		return sum, err
	}
	return sum, to.Deliver(h.stdout)
}

func (o *mergeOptions) check(args []string) error {
	var errs []error
	if len(args) == 0 {
		errs = append(errs, errors.New("merge: no file, directory or glob given"))
	}
	if info, err := os.Stat(o.Output); o.Output == "" || strings.HasSuffix(o.Output, "/") || err == nil && info.IsDir() {
		errs = append(errs, fmt.Errorf("merge: -o %q is no file name", o.Output))
	}
	for _, one := range [][2]string{{"flaky", o.Flaky}, {"empty", o.Empty}} {
		if !slices.Contains([]string{"pass", "fail", "skip"}, one[1]) {
			errs = append(errs, fmt.Errorf("merge: --%s=%s: use pass, fail or skip", one[0], one[1]))
		}
	}
	for _, l := range o.Labels {
		if key, _, ok := strings.Cut(l, "="); !ok || key == "" {
			errs = append(errs, fmt.Errorf("merge: --label=%s: use KEY=VALUE", l))
		}
	}
	errs = append(errs, mergeinputs.CheckReruns(o.FoldReruns, o.NoFold, args)...)
	if o.RoleFrom == "" && len(o.Roles) > 0 {
		errs = append(errs, errors.New("merge: --roles needs --role-from"))
	}
	if o.RoleFrom != "" && strings.Count(o.RoleFrom, mergeinputs.RolePlaceholder) != 1 {
		errs = append(errs, fmt.Errorf("merge: --role-from=%s: the glob has to have %s once", o.RoleFrom, mergeinputs.RolePlaceholder))
	}
	return errors.Join(errs...)
}

// appendSummary adds text to a file, as build servers want it whose steps share one.
func appendSummary(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666) //nolint:gosec // less the user's mask
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
