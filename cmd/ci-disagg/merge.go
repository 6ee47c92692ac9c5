package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/report/merge"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
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
	f.StringVarP(&o.Output, "output", "o", "junit.xml", "the report to write")
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

Directories are searched for *.xml; in globs, ** stands for any directories.
Broken files are salvaged up to the last complete test case and appear as a red
case of their own. Suites of one name become one; of several cases of one name
the worst counts, except in a pytest file, where they are attempts and the last
counts.

With --role-from the files belong to roles of a run, and the report says for
each test what each role saw. In the pattern {role}, {rank}, {rep}, {attempt}
and {case} stand for parts of the path, * and ? for characters within a name, **
for directories; it has to match the end of the path.

Exit codes: 0 all is green, 1 something is red or could not be read, 2 usage.`,
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
	files, err := findResults(cwd, args, o.Output)
	if err != nil {
		return usageErr(err)
	}
	const spare = 40 << 20 // bytes; a merge is bounded, so let its garbage be
	debug.SetMemoryLimit(spare)
	const shared fs.FileMode = 0o644 // not a run directory: others may read it
	mo := merge.Options{
		NoCaps: o.NoCaps, StrictXSD: o.Strict, Flaky: merge.Flaky(o.Flaky), Verdict: o.Cases == "verdict", Mode: shared,
	}
	var sum merge.Summary
	if o.RoleFrom == "" {
		sum, err = merge.Files(merge.FilesInput{Name: o.Name, Files: files, NoFold: o.NoFold}, o.Output, mo)
	} else {
		var in merge.Input
		if in, err = o.roleInput(files); err != nil {
			return usageErr(err)
		}
		sum, err = merge.Merge(in, o.Output, mo)
	}
	if err != nil {
		return &endError{code: exitInfra, err: fmt.Errorf("merge: %w", err)}
	}
	if !o.Quiet {
		printMerge(h.stdout, o.Output, sum)
	}
	if sum.Counts.Red() > 0 {
		return &endError{code: exitTestFailed}
	}
	return nil
}

func (o *mergeOptions) check(args []string) error {
	var errs []error
	if len(args) == 0 {
		errs = append(errs, errors.New("merge: no file, directory or glob given"))
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

// findFiles gives the files that the arguments name, each once. What names none
// stays as a file that cannot be read, so that the report says so.
func findResults(cwd string, args []string, output string) ([]merge.File, error) {
	var out []merge.File
	seen := map[string]bool{absFrom(cwd, output): true} // the report of the last time is no input
	add := func(path string) {
		abs := absFrom(cwd, path)
		if !seen[abs] {
			seen[abs] = true
			out = append(out, merge.File{Path: path, Shown: mergeShown(cwd, path)})
		}
	}
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case err == nil && !info.IsDir():
			add(arg)
		case err == nil:
			paths, err := walkFiles(arg, func(path string) bool { return strings.HasSuffix(path, ".xml") })
			if err != nil {
				return nil, err
			}
			addOrNone(paths, arg+": no *.xml file", add)
		case strings.ContainsAny(arg, "*?["):
			paths, err := globFiles(arg)
			if err != nil {
				return nil, err
			}
			addOrNone(paths, arg, add)
		default:
			add(arg)
		}
	}
	return out, nil
}

func addOrNone(paths []string, none string, add func(string)) {
	if len(paths) == 0 {
		add(none)
	}
	for _, p := range paths {
		add(p)
	}
}

func absFrom(cwd, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(cwd, path)
}

// shownPath is path as it stands in reports: relative where it lies below the
// working directory, since an absolute one differs from build to build.
func mergeShown(cwd, path string) string {
	rel, err := filepath.Rel(cwd, absFrom(cwd, path))
	if err != nil || strings.HasPrefix(rel, "..") {
		return path
	}
	return rel
}

// walk gives the files below dir that match, hidden directories left out.
func walkFiles(dir string, match func(path string) bool) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != dir && strings.HasPrefix(d.Name(), ".") {
				return filepath.SkipDir
			}
			return nil
		}
		if match(filepath.ToSlash(path)) {
			out = append(out, path)
		}
		return nil
	})
	return out, err
}

// glob expands a pattern in which ** stands for any directories.
func globFiles(pattern string) ([]string, error) {
	if !strings.Contains(pattern, "**") {
		return filepath.Glob(pattern)
	}
	re, err := pathPattern(pattern, true)
	if err != nil {
		return nil, err
	}
	dir := pattern[:strings.IndexAny(pattern, "*?[{")]
	dir = filepath.Dir(dir + "x")
	return walkFiles(dir, func(path string) bool { return re.MatchString(strings.TrimPrefix(path, "./")) || re.MatchString(path) })
}

// pathPattern makes a regular expression of a path pattern. whole says that it
// has to match all of the path and not only its end.
func pathPattern(pattern string, whole bool) (*regexp.Regexp, error) {
	var b strings.Builder
	if whole {
		b.WriteString("^")
	} else {
		b.WriteString("(?:^|/)")
	}
	names := []string{"role", "rank", "rep", "attempt", "case"}
	for _, n := range names {
		if strings.Count(pattern, "{"+n+"}") > 1 {
			return nil, fmt.Errorf("pattern %s: each placeholder may stand once", pattern)
		}
	}
	for i := 0; i < len(pattern); {
		rest := pattern[i:]
		switch {
		case strings.HasPrefix(rest, "**/"):
			b.WriteString("(?:.*/)?")
			i += 3
		case strings.HasPrefix(rest, "**"):
			b.WriteString(".*")
			i += 2
		case rest[0] == '*':
			b.WriteString("[^/]*")
			i++
		case rest[0] == '?':
			b.WriteString("[^/]")
			i++
		case rest[0] == '{':
			end := strings.IndexByte(rest, '}')
			if end < 0 || !slices.Contains(names, rest[1:end]) {
				return nil, fmt.Errorf("pattern %s: use {%s}", pattern, strings.Join(names, "}, {"))
			}
			what := `[^/]+?`
			if n := rest[1:end]; n == "rank" || n == "rep" || n == "attempt" {
				what = `\d+`
			}
			fmt.Fprintf(&b, "(?P<%s>%s)", rest[1:end], what)
			i += end + 1
		default:
			b.WriteString(regexp.QuoteMeta(rest[:1]))
			i++
		}
	}
	b.WriteString("$")
	return regexp.Compile(b.String())
}

// roleInput sorts files by what their paths say. Of several attempts the last
// counts.
func (o *mergeOptions) roleInput(files []merge.File) (merge.Input, error) {
	re, err := pathPattern(o.RoleFrom, false)
	if err != nil {
		return merge.Input{}, err
	}
	in := merge.Input{Stage: o.Name}
	for _, f := range files {
		m := re.FindStringSubmatch(filepath.ToSlash(f.Path))
		if m == nil {
			return in, fmt.Errorf("%s: the path does not match --role-from %s", f.Shown, o.RoleFrom)
		}
		part := func(name string) string {
			if i := re.SubexpIndex(name); i >= 0 {
				return m[i]
			}
			return ""
		}
		number := func(name string) int {
			n, _ := strconv.Atoi(part(name)) // digits, or "" = 0
			return n
		}
		f.Rank = number("rank")
		addResult(&in, part("case"), number("rep"), number("attempt"), part("role"), f)
	}
	slices.SortStableFunc(in.Cases, func(a, b merge.Case) int { return merge.Natural(a.Slug, b.Slug) })
	for i := range in.Cases {
		o.finishCase(&in.Cases[i])
	}
	return in, nil
}

func addResult(in *merge.Input, slug string, rep, attempt int, role string, f merge.File) {
	ci := slices.IndexFunc(in.Cases, func(c merge.Case) bool { return c.Slug == slug })
	if ci < 0 {
		ci = len(in.Cases)
		in.Cases = append(in.Cases, merge.Case{Slug: slug})
	}
	c := &in.Cases[ci]
	ri := slices.IndexFunc(c.Runs, func(r merge.Run) bool { return r.Rep == rep && r.Attempt == attempt })
	if ri < 0 {
		ri = len(c.Runs)
		c.Runs = append(c.Runs, merge.Run{Rep: rep, Attempt: attempt})
	}
	r := &c.Runs[ri]
	i := slices.IndexFunc(r.Roles, func(x merge.Role) bool { return x.Name == role })
	if i < 0 {
		i = len(r.Roles)
		r.Roles = append(r.Roles, merge.Role{RoleRecord: rundir.RoleRecord{Name: role}, JUnit: true})
	}
	r.Roles[i].Files = append(r.Roles[i].Files, f)
}

// finishCase orders the runs of a case, marks those that count and adds the
// roles that should have left a file.
func (o *mergeOptions) finishCase(c *merge.Case) {
	slices.SortStableFunc(c.Runs, func(a, b merge.Run) int {
		if a.Rep != b.Rep {
			return a.Rep - b.Rep
		}
		return a.Attempt - b.Attempt
	})
	for i := range c.Runs {
		r := &c.Runs[i]
		r.Counts = i == len(c.Runs)-1 || c.Runs[i+1].Rep != r.Rep
		for _, name := range o.Roles {
			if !slices.ContainsFunc(r.Roles, func(x merge.Role) bool { return x.Name == name }) {
				r.Roles = append(r.Roles, merge.Role{RoleRecord: rundir.RoleRecord{Name: name}, JUnit: true})
			}
		}
	}
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
