package faults_test

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report"

	"github.com/joshdk/go-junit"
	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
	"github.com/ci-disagg/ci-disagg/internal/testkit/slurmtest"
)

// fault is one row of the matrix: what is done, and how the run has to end.
type fault struct {
	name string
	// quick rows take under 5 s each on an idle machine and run with every `go test`, the others with
	// CI_DISAGG_FAULTS=all.
	quick bool

	local   bool                       // on this machine, without Slurm
	test    string                     // "" = small
	knob    string                     // CI_DISAGG_FAULT
	tokenMS string                     // CI_DISAGG_TOKEN_MS: a longer benchmark
	pollS   string                     // CI_DISAGG_POLL_S, "" = 1; upstream's is 10
	with    settings                   // of the config
	args    []string                   // of run
	fakes   map[string]string          // scripts that stand before the real commands on the driver's PATH
	cluster *slurmtest.Options         // a cluster of its own, for what would disturb the others
	prepare func(testing.TB, *row)     // before the driver starts
	drive   func(testing.TB, *row) int // instead of starting the driver and waiting for it
	during  func(testing.TB, *row)     // while it runs

	outcome rundir.Outcome
	exit    int
	root    string   // "" = no role is to blame
	more    []string // further roots
	either  bool     // of root and more, which is first is not determined
	class   string
	kind    string // "" = not asserted
	says    string // in the message of the verdict case
	bad     bool   // the last of the job's nodes is to be avoided
	// state is the one in which Slurm ended the job, and which has to be reported within 30 s; "" = not asserted.
	state string
	// attempt is how the first attempt ended, where the run ends otherwise: by what the roles left behind, or by a retry.
	attempt rundir.Outcome
	several bool // each role is to blame, and which is first is not determined
	check   func(testing.TB, *row)
}

func roots(first string, more []string) string {
	return strings.Join(append([]string{first}, more...), " ")
}

// TestFaultMatrix does to a run all that is known to happen to one, and looks at what the binary leaves: exit code,
// outcome, root cause, report, time to the end, no job, no process.
func TestFaultMatrix(t *testing.T) {
	var tab table
	rows, run := matrix(), 0
	t.Run("row", func(t *testing.T) {
		for _, f := range rows {
			if !runtest.All() && !f.quick {
				continue
			}
			run++
			t.Run(strings.ReplaceAll(f.name, " ", "_"), func(t *testing.T) {
				t.Parallel()
				test(t, f, &tab)
			})
		}
	})
	if !testing.Short() {
		fmt.Print(tab.String())
	}
	if file := os.Getenv("CI_DISAGG_FAULTS_TABLE"); file != "" {
		require.NoError(t, os.WriteFile(file, []byte(tab.String()), 0o644)) //nolint:gosec // a table to be read
	}
	if !runtest.All() && !testing.Short() {
		t.Logf("%d of %d rows: those under 5 s each. CI_DISAGG_FAULTS=all (make faults) runs the others too", run, len(rows))
		fmt.Printf("fault matrix: %d of %d rows, those under 5 s each; `make faults` runs all\n", run, len(rows))
	}
}

// test runs one row.
func test(t testing.TB, f fault, tab *table) {
	r := newRow(t, f)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("kept: %s\n%s\n%s", r.dir, &r.stdout, &r.stderr)
		}
	})
	if f.prepare != nil {
		f.prepare(t, r)
	}
	exit := 0
	if f.drive != nil {
		exit = f.drive(t, r)
	} else {
		r.run(t)
		if f.during != nil {
			f.during(t, r)
		}
		exit = r.wait(t)
	}
	line := result{name: f.name, exit: exit, seconds: r.took}
	line.jobs, line.processes = r.jobsLeft(t), r.processesLeft(t)
	require.Zero(t, line.jobs, "jobs are left")
	require.Zero(t, line.processes, "processes are left")
	d := runtest.Document(t, r.dir)
	require.Len(t, d.Cases, 1)
	if r.gaveUp(exit) {
		require.Equal(t, r.exit, exit)
		return
	}
	line.outcome = string(d.Cases[0].Outcome)
	if f := d.Cases[0].Finding; f != nil {
		line.root, line.quoted = roots(f.Root, f.Roots), quoted(f)
	}
	o := runtest.Outcome(t, r.dir)
	line.end, line.ended = r.end(o)
	tab.add(line)
	r.judge(t, exit, o, d)
}

// gaveUp reports whether an interrupted driver's 45 s for the job's end were over before that was known. A machine that
// does nothing else is faster.
func (r *row) gaveUp(exit int) bool {
	_, err := os.Stat(runtest.Attempt(r.dir).OutcomeFile())
	return exit == 143 && errors.Is(err, fs.ErrNotExist) && !runtest.All()
}

// pace is how long a token takes. The benchmark must not be through before what happens meanwhile, on a slow machine
// either; nobody waits for the rest of it where that ends the run.
func (f fault) pace() string {
	meanwhile := f.tokenMS == long || f.tokenMS == "" && strings.Contains(f.knob, "while-serving")
	switch {
	case !meanwhile:
		return f.tokenMS
	case f.outcome == passed:
		return long
	}
	return endless
}

func newRow(t testing.TB, f fault) *row {
	t.Helper()
	need.Long(t, "the built binary, pytest and a Slurm cluster")
	if f.test == "" {
		f.test = runtest.Small
	}
	f.tokenMS = f.pace()
	backend := map[bool]string{false: "slurm", true: "local"}[f.local]
	r := &row{fault: f, c: shared, config: f.with.write(t, backend)}
	if f.cluster != nil {
		r.c = slurmtest.Start(t, *f.cluster)
	}
	// Not t.TempDir: it is kept when the row fails, and Slurm's nodes must reach it.
	dir, err := os.MkdirTemp("", "faults-") //nolint:usetesting // see above
	require.NoError(t, err)
	t.Cleanup(func() {
		if !t.Failed() {
			_ = os.RemoveAll(dir)
		}
	})
	r.id = filepath.Base(dir)
	r.dir = rundir.Dir(filepath.Join(dir, "run"))
	r.seen = r.dir
	r.env = append(r.c.Env(t), "CI_DISAGG_ROW="+r.id, "CI_DISAGG_FAULT="+f.knob, "CI_DISAGG_TOKEN_MS="+f.tokenMS, "CI_DISAGG_POLL_S="+f.pollS, "ROW="+dir)
	r.fake(t, f.fakes)
	return r
}

// fake puts scripts before the real commands on the driver's PATH. $ROW is a directory of the row's own.
func (r *row) fake(t testing.TB, scripts map[string]string) {
	t.Helper()
	if len(scripts) == 0 {
		return
	}
	bin := t.TempDir()
	for name, body := range scripts {
		require.NoError(t, rundir.WriteFile(filepath.Join(bin, name), []byte("#!/bin/bash\n"+body+"\n"), rundir.ExecMode))
	}
	r.env = append(r.env, "PATH="+bin+":"+os.Getenv("PATH"))
}

// judge holds the end of the run against the row.
func (r *row) judge(t testing.TB, exit int, o rundir.AttemptOutcome, d report.Report) {
	t.Helper()
	c := d.Cases[0]
	require.Equal(t, r.outcome, c.Outcome, "%s\n%s", c.Message, o.Reason)
	require.Equal(t, r.exit, exit, c.Message)
	require.Equal(t, r.exit, d.ExitCode)
	require.Equal(t, cmp.Or(r.attempt, r.outcome), o.Outcome, o.Reason)
	if f := c.Finding; r.root != "" || r.several || f != nil {
		require.NotNil(t, f)
		if r.several {
			r.root, r.more = f.Root, f.Roots
		}
		if r.either && f.Root != r.root {
			r.root, r.more = r.more[0], []string{r.root}
		}
		require.Equal(t, r.root, f.Root, f.Message)
		require.Equal(t, r.more, f.Roots, f.Message)
		if r.class != "" {
			require.Equal(t, r.class, f.Class, f.Message)
		}
		if r.kind != "" {
			require.Equal(t, r.kind, f.Kind, f.Message)
		}
		if r.bad {
			nodes := r.agent().Nodes
			require.Equal(t, nodes[len(nodes)-1:], f.BadNodes)
		}
	}
	r.report(t)
	r.teardownInTime(t, o)
	if r.state != "" {
		require.Equal(t, r.state, o.State)
		r.toldInTime(t, o)
	}
	if r.check != nil {
		r.check(t, r)
	}
}

// report holds junit.xml against the row: the verdict case names the root, which is red, and nobody else is.
func (r *row) report(t testing.TB) {
	t.Helper()
	cases := runtest.Cases(t, r.dir, stage)
	require.Len(t, cases[""], 1, "one verdict case")
	verdict := cases[""][0]
	switch {
	case r.exit == 0:
		require.Equal(t, junit.StatusPassed, verdict.Status, verdict.Message)
	case r.outcome == passed: // interrupted after the job's end
	default:
		require.Contains(t, []junit.Status{junit.StatusError, junit.StatusFailed}, verdict.Status)
		if r.root != "" {
			require.Truef(t, strings.HasPrefix(verdict.Message, "["+r.root+"] "), "the message begins with the root role: %s", verdict.Message)
		}
		require.Contains(t, verdict.Message, r.says)
	}
	guilty := append([]string{r.root}, r.more...)
	rec := r.agent()
	for _, role := range rec.Roles {
		own := slices.Clone(cases["roles."+role.Name])
		for _, c := range cases["lifecycle"] {
			if c.Name == role.Name {
				own = append(own, c)
			}
		}
		if len(rec.Roles) == 1 && r.root != "" {
			own = append(own, verdict) // it is its own test's
		}
		red, skipped := 0, 0
		for _, c := range own {
			switch c.Status {
			case junit.StatusError, junit.StatusFailed:
				red++
			case junit.StatusSkipped:
				skipped++
			default:
			}
		}
		switch {
		case slices.Contains(guilty, role.Name):
			if r.exit != 0 {
				require.Positive(t, red, "%s is to blame and has no red case", role.Name)
			}
		default:
			require.Zero(t, red, "%s is not to blame and has a red case", role.Name)
			if role.StoppedBy != "" && r.exit != 0 && r.outcome != passed {
				require.Positive(t, skipped, "%s was stopped and has no skipped case", role.Name)
			}
		}
	}
}

// failedAt is when the root role ended by itself, on the agent's clock, nil if that is not what ended the attempt.
func (r *row) failedAt(o rundir.AttemptOutcome) (*time.Time, rundir.AgentRecord) {
	rec := r.agent()
	if o.Finding == nil || o.Finding.Root == "" || rec.End == nil || !r.acted.IsZero() {
		return nil, rec
	}
	for _, role := range rec.Roles {
		if role.Name == o.Finding.Root && role.StoppedBy == "" {
			return role.Ended, rec
		}
	}
	return nil, rec
}

// end is how long the attempt went on after what ended it: the end of the root role, or what was done from outside.
func (r *row) end(o rundir.AttemptOutcome) (time.Duration, bool) {
	if at, rec := r.failedAt(o); at != nil {
		return rec.End.At.Sub(*at), true
	}
	return max(0, o.Ended.Sub(r.acted)), !r.acted.IsZero()
}

// teardownInTime asserts that within 2 s after the root role's end the others were told to end, and that with the grace
// more the attempt was over.
func (r *row) teardownInTime(t testing.TB, o rundir.AttemptOutcome) {
	t.Helper()
	at, rec := r.failedAt(o)
	if at == nil {
		return
	}
	for _, other := range rec.Roles {
		if other.StopSent != nil {
			require.Less(t, other.StopSent.Sub(*at), runtest.Within(2*time.Second), "teardown after %s's end", o.Finding.Root)
		}
	}
	require.Less(t, rec.End.At.Sub(*at), runtest.Within(2*time.Second+grace), "the attempt's end after %s's", o.Finding.Root)
}

// toldInTime asserts that Slurm's last state was reported within 30 s of its appearance.
func (r *row) toldInTime(t testing.TB, o rundir.AttemptOutcome) {
	t.Helper()
	info, err := os.Stat(runtest.Attempt(r.dir).OutcomeFile())
	require.NoError(t, err)
	told := info.ModTime()
	if said := r.stderr.said(": " + strings.ToLower(o.State)); !said.IsZero() {
		told = said
	}
	require.Less(t, told.Sub(o.Ended), runtest.Within(30*time.Second), "%s since %v, told %v", o.State, o.Ended, told)
}

// result is a line of the table.
type result struct {
	name, outcome, root string
	quoted              string // the line that explains it
	exit                int
	seconds, end        time.Duration
	ended               bool
	jobs, processes     int
}

// quoted is the line that a finding quotes, else what it says itself.
func quoted(f *rundir.Finding) string {
	if f.Line != nil && !f.Line.Last {
		return rundir.Clip(f.Line.Text, 100)
	}
	return rundir.Clip(f.Message, 100)
}

// table collects the results of all rows.
type table struct {
	mu   sync.Mutex
	rows []result
}

func (t *table) add(r result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
}

func (t *table) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	order := map[string]int{}
	for i, f := range matrix() {
		order[f.name] = i
	}
	slices.SortFunc(t.rows, func(a, b result) int { return order[a.name] - order[b.name] })
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "row\toutcome\texit\troot\tseconds\tfault to end\tjobs left\tprocesses left\tquoted line")
	for _, r := range t.rows {
		end := "-"
		if r.ended {
			end = fmt.Sprintf("%.1f", r.end.Seconds())
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%.1f\t%s\t%d\t%d\t%s\n", r.name, r.outcome, r.exit, r.root, r.seconds.Seconds(), end, r.jobs, r.processes, r.quoted)
	}
	_ = w.Flush()
	return b.String()
}
