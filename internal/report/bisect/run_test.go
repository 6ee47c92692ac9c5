package bisect

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// lab measures commits as a run would: those from slow on are 5 % slower, those in broken do not build.
type lab struct {
	t      *testing.T
	slow   int
	broken map[string]bool
	stop   int                                        // signals at the n-th measurement, 0 = never
	ends   map[int]func(dir, good, commit string) int // another end of the n-th measurement
	runs   []string
}

// commits are so many with the good one.
func commits(n int) []Commit {
	var out []Commit
	for i := range n {
		out = append(out, Commit{ID: fmt.Sprintf("%040x", i+1), Line: fmt.Sprint("change ", i)})
	}
	return out
}

// session writes the report of a session of two commits.
func (l *lab) session(dir, good, commit string) {
	l.t.Helper()
	f := ab.Found{Point: "con8", Metric: "ttft_median_ms", Unit: "ms", Better: "lower", MinEffect: 0.02}
	at := 0
	_, err := fmt.Sscanf(commit, "%x", &at)
	require.NoError(l.t, err)
	for i := range 4 {
		b := 10.0 + 0.01*float64(i)
		if at-1 >= l.slow {
			b *= 1.05
		}
		f.Values = append(f.Values, [2]float64{10, b})
	}
	var c report.CaseReport
	c.ID = "case"
	c.AB = &ab.Session{Series: []ab.Found{f}, Used: []int{0, 1, 2, 3}, Base: &ab.Build{Commit: good}, Head: &ab.Build{Commit: commit}}
	doc := report.Report{Cases: []report.CaseReport{c}}
	require.NoError(l.t, os.MkdirAll(rundir.Dir(dir).Report(), 0o755))
	require.NoError(l.t, rundir.WriteJSON(filepath.Join(rundir.Dir(dir).Report(), rundir.ReportVerdict), doc))
}

func (l *lab) run(_ context.Context, dir, good, commit string) (int, string) {
	l.runs = append(l.runs, commit)
	if len(l.runs) == l.stop {
		return 143, ""
	}
	if end := l.ends[len(l.runs)]; end != nil {
		return end(dir, good, commit), ""
	}
	if l.broken[commit] {
		return 0, "make: no rule"
	}
	l.session(dir, good, commit)
	return 4, ""
}

// ended writes the report of a session that did not come to its end, after pairs in which the commit is much slower.
func (l *lab) ended(word paired.Word, code int) func(dir, good, commit string) int {
	return func(dir, good, commit string) int {
		f := ab.Found{Point: "con8", Metric: "ttft_median_ms", Better: "lower", MinEffect: 0.02, Values: [][2]float64{{10, 20}, {10, 20}}}
		c := report.CaseReport{ID: "case", Message: "it ended"}
		c.ExitCode = code
		c.AB = &ab.Session{Verdict: word, Series: []ab.Found{f}, Used: []int{0, 1}, Base: &ab.Build{Commit: good}, Head: &ab.Build{Commit: commit}}
		require.NoError(l.t, os.MkdirAll(rundir.Dir(dir).Report(), 0o755))
		require.NoError(l.t, rundir.WriteJSON(filepath.Join(rundir.Dir(dir).Report(), rundir.ReportVerdict), report.Report{Cases: []report.CaseReport{c}}))
		return code
	}
}

// What the infrastructure ends says nothing of a commit, whatever was measured before: it is measured again, and where
// that does not help the search ends with that, and goes on from there.
func TestInfrastructureIsNoEvidence(t *testing.T) {
	t.Parallel()
	none := func(string, string, string) int { return 3 } // the driver did not come to a report
	for name, end := range map[string]func(l *lab) func(dir, good, commit string) int{
		"no report":          func(*lab) func(string, string, string) int { return none },
		"after pairs":        func(l *lab) func(string, string, string) int { return l.ended(paired.Inconclusive, 3) },
		"of head, in a row":  func(l *lab) func(string, string, string) int { return l.ended(paired.Failed, 3) },
		"a run that decided": func(l *lab) func(string, string, string) int { return l.ended(paired.Regression, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			l := &lab{t: t, slow: 16} // only the bad one is
			l.ends = map[int]func(string, string, string) int{2: end(l), 3: end(l), 5: end(l)}
			f, err := l.options(t.TempDir(), &out).Search(t.Context())
			require.NoError(t, err)
			require.Equal(t, []int{16, 16}, []int{f.From, f.To})
			require.True(t, f.Settled)
			require.Equal(t, []string{l.runs[1], l.runs[1]}, l.runs[2:4], "again")
			require.Equal(t, l.runs[4], l.runs[5], "again")
			require.Contains(t, out.String(), "infrastructure, to be measured again: ")

			l = &lab{t: t, slow: 16}
			l.ends = map[int]func(string, string, string) int{1: end(l), 2: end(l), 3: end(l), 4: end(l), 5: end(l), 6: end(l)}
			o := l.options(t.TempDir(), &out)
			for calls := 1; calls <= 2; calls++ { // at the second it is three again
				_, err = o.Search(t.Context())
				var by *EndedError
				require.ErrorAs(t, err, &by)
				require.Equal(t, 3, by.Exit)
				require.ErrorContains(t, err, "the infrastructure ended 3 sessions in a row, which says nothing of any commit")
				require.Len(t, l.runs, 3*calls)
			}
			f, err = o.Search(t.Context())
			require.NoError(t, err)
			require.Equal(t, []int{16, 16}, []int{f.From, f.To})
			require.Equal(t, o.Commits[16].ID, l.runs[6], "nothing counts against the bad one")
		})
	}
}

// A commit whose software fails cannot be measured: it is skipped at once, as by git bisect skip, and what it measured
// before it failed is no evidence. Where it is the only one, nobody is blamed.
func TestCommitThatCrashes(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := &lab{t: t, slow: 16}
	l.ends = map[int]func(string, string, string) int{2: l.ended(paired.Failed, 1)}
	o := l.options(t.TempDir(), &out)
	f, err := o.Search(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int{16, 16}, []int{f.From, f.To})
	require.NotContains(t, l.runs[2:], l.runs[1], "once is enough")
	require.Contains(t, out.String(), "cannot be measured, and is skipped: it ended")
	page, err := os.ReadFile(filepath.Join(o.Dir, ReportFile))
	require.NoError(t, err)
	require.Contains(t, string(page), "| 8 | 0000000000 change 8 | under 0.1 % | cannot be measured |")

	l = &lab{t: t}
	l.ends = map[int]func(string, string, string) int{1: l.ended(paired.Failed, 1)}
	o = l.options(t.TempDir(), &out)
	o.Commits = commits(2)
	f, err = o.Search(t.Context())
	require.NoError(t, err)
	require.False(t, f.Settled)
	require.Contains(t, out.String(), "   nothing was measured\n")

	// What somebody else has measured is taken in likewise.
	for code, word := range map[int]string{3: "the infrastructure ended that session", 1: ""} {
		dir := t.TempDir()
		l.ended(paired.Failed, code)(dir, o.Commits[0].ID, o.Commits[1].ID)
		o.Dir, o.Measured = t.TempDir(), []string{dir}
		f, err := o.Search(t.Context())
		if word != "" {
			require.ErrorContains(t, err, word)
			continue
		}
		require.NoError(t, err)
		require.False(t, f.Settled)
	}
}

func (l *lab) options(dir string, out *bytes.Buffer) Options {
	o := Options{Dir: dir, Out: out, Run: l.run, Now: func() time.Time { return time.Date(2026, 11, 3, 4, 5, 6, 0, time.UTC) }}
	o.Record = Record{Case: "case", Commits: commits(17), Confidence: 0.95}
	return o
}

func TestSearchOfCommits(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := &lab{t: t, slow: 11}
	o := l.options(t.TempDir(), &out)
	f, err := o.Search(t.Context())
	require.NoError(t, err)
	require.True(t, f.Settled)
	require.Equal(t, []int{11, 11}, []int{f.From, f.To})
	require.LessOrEqual(t, len(l.runs), 7)
	require.Contains(t, out.String(), "expected: ")
	require.Contains(t, out.String(), "first slow commit: 0000000000 change 11 (over 99.9 %)")
	page, err := os.ReadFile(filepath.Join(o.Dir, ReportFile))
	require.NoError(t, err)
	require.Contains(t, string(page), "| 11 | 0000000000 change 11 | over 99.9 % |")

	// Called again it measures nothing; in its directory there is no room for another search.
	l.runs = nil
	again, err := l.options(o.Dir, &out).Search(t.Context())
	require.NoError(t, err)
	require.Equal(t, f, again)
	require.Empty(t, l.runs)
	require.Contains(t, out.String(), "an earlier result of 2026-11-03 04:05 UTC, nothing was measured now")
	other := l.options(o.Dir, &out)
	other.Commits = commits(9)
	_, err = other.Search(t.Context())
	require.ErrorContains(t, err, "holds another search")
}

// What was measured is no answer to another question: one of another command, of the same case and commits.
func TestSearchOfAnotherQuestion(t *testing.T) {
	t.Parallel()
	plan := func(command string) rundir.Plan {
		p := rundir.Plan{Builds: []rundir.BuildPlan{{Name: rundir.HeadBuild, Roles: []rundir.RolePlan{{Name: "server", Command: command}}}}}
		p.Pairs = &rundir.PairPlan{MaxPairs: 8}
		return p
	}
	var out bytes.Buffer
	l := &lab{t: t, slow: 11, stop: 1}
	asked := func(dir, command, makes string, perf any) error {
		o := l.options(dir, &out)
		o.Of = Asks(plan(command), "local", makes, perf)
		_, err := o.Search(t.Context())
		return err
	}
	dir := t.TempDir()
	require.ErrorContains(t, asked(dir, "old", "make", nil), "interrupted")
	require.NoError(t, asked(dir, "serve", "make", nil), "nothing was measured: the config may be mended")
	require.NoError(t, asked(dir, "serve", "make", nil))
	require.ErrorContains(t, asked(dir, "nonsense", "make", nil), "measured something else; what differs: the roles, their commands and environment. To search anew remove it")
	require.ErrorContains(t, asked(dir, "serve", "make all", 3), "what differs: builds.make; perf.")

	// One that was begun goes on as it was planned.
	dir, l.runs = t.TempDir(), nil
	require.ErrorContains(t, asked(dir, "old", "make", nil), "interrupted")
	all := commits(17)
	begun := rundir.Dir(session(dir, 1, all[16]))
	require.NoError(t, os.MkdirAll(string(begun), 0o755))
	require.NoError(t, rundir.WriteJSON(begun.RunFile(), rundir.Run{ID: "1"}))
	require.ErrorContains(t, asked(dir, "serve", "make", nil), "what differs: the roles")
}

func TestSwapped(t *testing.T) {
	t.Parallel()
	older := func(commit, to string) bool { return commit <= to }
	require.ErrorContains(t, NoWay("b", "a", older), "no commit behind b on the way to a: a is the older one, so they look swapped")
	require.NotContains(t, NoWay("a", "a", older).Error(), "swapped")
}

// A record without commits, or of others than it names, is refused in words.
func TestRecordThatIsNone(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	o := (&lab{t: t}).options(t.TempDir(), &out)
	require.NoError(t, os.WriteFile(filepath.Join(o.Dir, RecordFile), []byte(`{"schema": 1, "case": "case"}`), 0o600))
	_, err := o.Search(t.Context())
	require.ErrorContains(t, err, "names no commits")

	o.Trials = []Measure{{Trial: Trial{Commit: 17}}}
	require.NoError(t, rundir.WriteJSON(filepath.Join(o.Dir, RecordFile), o.Record))
	_, err = o.Search(t.Context())
	require.ErrorContains(t, err, "a measurement of commit 17, of 16")
}

// A search that is ended from outside goes on where it stood, in the run directory that it had begun.
func TestInterruptedSearch(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := &lab{t: t, slow: 3, stop: 3}
	o := l.options(t.TempDir(), &out)
	_, err := o.Search(t.Context())
	var by *EndedError
	require.ErrorAs(t, err, &by)
	require.Equal(t, 143, by.Exit)
	stopped := l.runs[2]
	l.runs, l.stop = nil, 0
	f, err := l.options(o.Dir, &out).Search(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int{3, 3}, []int{f.From, f.To})
	require.Equal(t, stopped, l.runs[0])
	require.Contains(t, out.String(), "goes on after 2 measurements")
}

// Commits that do not build are left out, and said to be no answer by themselves.
func TestSearchWithBrokenCommits(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	all := commits(17)
	l := &lab{t: t, slow: 8, broken: map[string]bool{all[8].ID: true, all[4].ID: true}}
	f, err := l.options(t.TempDir(), &out).Search(t.Context())
	require.NoError(t, err)
	require.True(t, f.Settled)
	require.Equal(t, []int{8, 9}, []int{f.From, f.To})
	require.Contains(t, out.String(), "no measurement: make: no rule")
	require.Contains(t, out.String(), "which cannot be told apart")
}

// Without a way to make builds a person measures, and is told what.
func TestSearchByHand(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := &lab{t: t, slow: 16}
	o := l.options(t.TempDir(), &out)
	o.Run = nil
	_, err := o.Search(t.Context())
	require.NoError(t, err)
	require.Contains(t, out.String(), "next: 0000000000 change 16 (16 of 16)")
	dir := t.TempDir()
	l.session(dir, o.Commits[0].ID, o.Commits[16].ID)
	o.Measured = []string{dir, dir}
	f, err := o.Search(t.Context())
	require.NoError(t, err)
	require.False(t, f.Settled)
	require.Contains(t, out.String(), "next: 0000000000 change 8 (8 of 16)")
	l.session(dir, o.Commits[1].ID, o.Commits[16].ID)
	o.Measured, o.Dir = []string{dir}, t.TempDir()
	_, err = o.Search(t.Context())
	require.ErrorContains(t, err, "the other the good one")
}

// A session that was refused, or one of other commits, is no measurement of a commit: it ends the search with what is
// wrong, and nothing is counted.
func TestSearchEndsWhereNothingIsMeasured(t *testing.T) {
	t.Parallel()
	all := commits(5)
	for _, tt := range []struct {
		name string
		run  func(l *lab, dir, good, commit string) int
		want string
	}{
		{"refused", func(*lab, string, string, string) int { return 2 }, "the session was refused"},
		{"refused, with an older report there", func(l *lab, dir, good, commit string) int {
			l.session(dir, good, commit)
			return 2
		}, "the session was refused"},
		{"another driver's", func(*lab, string, string, string) int { return 6 }, "another driver has the session"},
		{"another head", func(l *lab, dir, good, _ string) int {
			l.session(dir, good, all[3].ID)
			return 4
		}, "holds a session of commit 0000000000"},
		{"another base", func(l *lab, dir, _, commit string) int {
			l.session(dir, all[3].ID, commit)
			return 0
		}, "holds a session of commit 0000000000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			l := &lab{t: t, slow: 4}
			o := l.options(t.TempDir(), &out)
			o.Commits = all
			o.Run = func(_ context.Context, dir, good, commit string) (int, string) {
				return tt.run(l, dir, good, commit), ""
			}
			_, err := o.Search(t.Context())
			require.ErrorContains(t, err, tt.want)
			require.ErrorContains(t, err, "change 4: ", "which commit")
			r, err := load(o.Dir, Record{Case: "case", Commits: all})
			require.NoError(t, err)
			require.Empty(t, r.Trials)
		})
	}
}
