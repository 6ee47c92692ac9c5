package runview

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// made is a run of one case whose only attempt goes on.
func made(t *testing.T, parent, id string, change func(*rundir.Run)) rundir.Dir {
	t.Helper()
	dir := rundir.Dir(filepath.Join(parent, rundir.Slug(id)))
	run := rundir.Run{
		Schema: rundir.Schema, ID: id, Stage: "nightly", Backend: "slurm", Cluster: "gb200", Created: now.Add(-2 * time.Hour),
		Build: rundir.Build{Mode: "nightly", Branch: "main", Commit: "0123456789abcdef"},
		Cases: []rundir.CaseState{{ID: "t.py::test[one]", Slug: "one", State: rundir.CaseRunning, Attempts: []rundir.Attempt{{Attempt: 1}}}},
	}
	if change != nil {
		change(&run)
	}
	plan := rundir.Plan{}
	plan.Schema, plan.AllocatedGPUs = rundir.Schema, 8
	at := dir.CaseDir("one").Attempt(0, 1)
	ready, began := now.Add(-50*time.Minute), now.Add(-time.Hour)
	agent := rundir.AgentRecord{Schema: rundir.Schema, Started: began, Heartbeat: now.Add(-3 * time.Second), Nodes: []string{"n1", "n2"}}
	agent.Phases = []rundir.PhaseSpan{{Phase: rundir.PhaseReady, Start: began}, {Phase: rundir.PhaseBenchmark, Start: ready}}
	agent.Roles = []rundir.RoleRecord{{Name: "GEN_0", Kind: "server", State: "ready", Ready: &ready}, {Name: "CLIENT", Kind: "client", State: "running"}}
	agent.Timeline = []rundir.Event{{At: ready, Role: "GEN_0", What: "ready\u202egnol"}}
	for path, v := range map[string]any{
		dir.RunFile(): run, dir.CaseDir("one").PlanFile(): plan, at.AgentFile(): agent, at.JobFile(): rundir.Job{Schema: rundir.Schema, ID: "77"},
	} {
		require.NoError(t, rundir.WriteJSON(path, v))
	}
	return dir
}

func held(t *testing.T, dir rundir.Dir, ago time.Duration, detached bool) {
	t.Helper()
	l := rundir.Lease{Schema: rundir.Schema, Owner: "x", Host: "elsewhere", Heartbeat: now.Add(-ago)}
	if detached {
		l.Released, l.Detached = &l.Heartbeat, true
	}
	require.NoError(t, rundir.WriteJSON(dir.LeaseFile(), l))
}

// What is cut off need not be read: the newest are shown whole, and a filter on results sees all.
func TestListOfTheNewest(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	for i, id := range []string{"a", "b", "c"} {
		at := now.Add(time.Duration(i-5) * time.Hour)
		dir := made(t, parent, id, func(r *rundir.Run) { r.Created, r.Ended = at, &at })
		doc := verdictDoc{Decision: report.Ending([]int{4, 0, 0}[i]), Headline: id}
		require.NoError(t, rundir.WriteJSON(filepath.Join(dir.Report(), rundir.ReportVerdict), doc))
	}
	r := Reader{Now: now}
	all, err := r.List(parent, Choice{})
	require.NoError(t, err)
	newest, err := r.List(parent, Choice{Most: 2})
	require.NoError(t, err)
	require.Equal(t, all.Runs[:2], newest.Runs)
	red, err := r.List(parent, Choice{Most: 2, States: []string{"regression"}})
	require.NoError(t, err)
	require.Equal(t, all.Runs[2:], red.Runs)
}

func TestList(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	ended := now.Add(-time.Hour)
	held(t, made(t, parent, "running-1", nil), time.Second, false)
	held(t, made(t, parent, "detached-1", nil), time.Hour, true)
	held(t, made(t, parent, "stopped-1", nil), lease.TTL+time.Minute, false)
	swept := made(t, parent, "swept-1", nil)
	held(t, swept, time.Hour, false)
	var sweptRun rundir.Run
	require.NoError(t, rundir.ReadJSON(swept.RunFile(), &sweptRun))
	at := sweptRun.Cases[0].Attempts[0]
	require.NoError(t, rundir.WriteJSON(swept.CaseDir(sweptRun.Cases[0].Slug).Attempt(at.Rep, at.Attempt).OutcomeFile(), rundir.AttemptOutcome{Schema: rundir.Schema}))
	made(t, parent, "interrupted-1", func(r *rundir.Run) { r.Interrupted, r.Ended = &rundir.Interruption{Signal: 15}, &ended })
	over := made(t, parent, "ended-1", func(r *rundir.Run) { r.Ended, r.Stage = &ended, "other" })
	require.NoError(t, rundir.WriteJSON(filepath.Join(over.Report(), rundir.ReportVerdict), verdictDoc{Decision: report.Ending(4), Headline: "1 regressed"}))
	require.NoError(t, os.MkdirAll(filepath.Join(parent, "stranger"), 0o700))
	broken := made(t, parent, "broken-1", nil)
	require.NoError(t, os.WriteFile(broken.RunFile(), []byte("{"), 0o600))

	r := Reader{Now: now}
	list, err := r.List(parent, Choice{})
	require.NoError(t, err)
	states := map[string]State{}
	for _, run := range list.Runs {
		states[run.ID] = run.State
		if run.ID == "swept-1" {
			require.Equal(t, Counts{All: 1, Waiting: 1}, run.Cases)
		}
		if run.State == Running {
			require.InDelta(t, 8, run.Cost, 1e-9, "8 GPUs for an hour")
			require.Equal(t, Counts{All: 1, Running: 1}, run.Cases)
		}
	}
	require.Equal(t, map[string]State{
		"running-1": Running, "detached-1": Detached, "stopped-1": Stopped, "swept-1": Stopped, "interrupted-1": Interrupted, "ended-1": Ended, "broken-1": Stopped,
	}, states)
	var out bytes.Buffer
	require.NoError(t, list.Write(&out, now))
	require.Regexp(t, `ended-1 +ended +2h00m +REGRESSION \(4\)`, out.String())
	require.Contains(t, out.String(), "cannot be read")

	for _, tt := range []struct {
		which Choice
		ids   int
	}{{Choice{States: []string{"running", "regression"}}, 2}, {Choice{Stage: "other"}, 1}, {Choice{Most: 3}, 3}, {Choice{Since: now}, 0}} {
		list, err := r.List(parent, tt.which)
		require.NoError(t, err)
		require.Len(t, list.Runs, tt.ids, "%+v", tt.which)
	}
	require.EqualError(t, Choice{States: []string{"detahced"}}.Check(), `--state "detahced" is neither a state nor a result; did you mean "detached"?`)

	var said bytes.Buffer
	none, err := r.List(parent, Choice{Stage: "nobody's"})
	require.NoError(t, err)
	require.NoError(t, none.Write(&said, now))
	require.Regexp(t, `^no run in .* is what the flags ask for; others: 7\n$`, said.String())
	none, err = r.List(filepath.Join(parent, "none"), Choice{})
	require.NoError(t, err)
	text, err := json.Marshal(none)
	require.NoError(t, err)
	require.Contains(t, string(text), `"runs":[]`)
}

// A green run of which nothing was judged is none that passed, and is found by its own word.
func TestNotJudgedIsNoPass(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	dir := made(t, parent, "new", func(r *rundir.Run) { r.Ended, r.Cases[0].State = &now, rundir.CaseDone })
	doc := verdictDoc{Decision: report.Ending(0), Headline: "1 case: 1 not judged (allowed)"}
	newer := doc
	newer.Unjudged = verdict.Collecting
	newer.Cases = []verdictCase{{Slug: "one", Decision: newer.Decision}}
	older := doc // from before it said so itself
	older.Cases = []verdictCase{{Slug: "one", Decision: doc.Decision, Verdict: verdict.Collecting}}
	for _, doc := range []verdictDoc{newer, older} {
		require.NoError(t, rundir.WriteJSON(filepath.Join(dir.Report(), rundir.ReportVerdict), doc))
		notJudgedYet(t, parent, dir)
	}
}

func notJudgedYet(t *testing.T, parent string, dir rundir.Dir) {
	t.Helper()
	r := Reader{Now: now}
	s, err := r.Status(dir)
	require.NoError(t, err)
	require.Equal(t, "passed", s.Result, "what programs read keeps its meaning")
	var out bytes.Buffer
	require.NoError(t, s.Write(&out, now))
	require.Contains(t, out.String(), "new: ended, not judged yet (0): 1 case: 1 not judged (allowed)\n")
	require.Regexp(t, `\none +not judged yet`, out.String())
	for state, found := range map[string]int{"collecting": 1, "not_judged": 1, "passed": 0, "ended": 1} {
		which := Choice{States: []string{state}}
		require.NoError(t, which.Check())
		list, err := r.List(parent, which)
		require.NoError(t, err)
		require.Len(t, list.Runs, found, state)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	made(t, parent, "jenkins-perf-1234", nil)
	dir := made(t, parent, "jenkins/perf 99", nil)
	for _, id := range []string{"jenkins/perf 99", "jenkins/"} {
		got, err := Find(parent, id)
		require.NoError(t, err)
		require.Equal(t, dir, got)
	}
	made(t, parent, "0-first", func(r *rundir.Run) { r.Created = r.Created.Add(-time.Hour) })
	for id, says := range map[string]string{
		"jenkins-perf-1243": `; did you mean "jenkins-perf-1234"?`,
		"jenkins":           "; runs: jenkins-perf-1234, jenkins/perf 99",
		"":                  "; runs: jenkins-perf-1234, jenkins/perf 99, 0-first",
	} {
		_, err := Find(parent, id)
		require.ErrorContains(t, err, says, id)
	}
	_, err := Find(filepath.Join(parent, "none"), "x")
	require.ErrorContains(t, err, "; there are no runs")
}

func TestStatus(t *testing.T) {
	t.Parallel()
	dir := made(t, t.TempDir(), "r", nil)
	held(t, dir, time.Second, false)
	s, err := Reader{Now: now}.Status(dir)
	require.NoError(t, err)
	require.Equal(t, "benchmark", s.List[0].Phase)
	var out bytes.Buffer
	require.NoError(t, s.Write(&out, now))
	require.Regexp(t, `one +running +77 +benchmark +50m00s +1/2 ready +GEN_0: ready<U\+202E>gnol \(agent seen 3s ago\)`, out.String())
	require.Contains(t, out.String(), "next:   ci-disagg logs -f "+string(dir))
}

// A detached run whose job is over: nothing holds nodes any more, nothing is added to a log, and it is told how to go
// on.
func TestJobOfNobodyIsOver(t *testing.T) {
	t.Parallel()
	dir := made(t, t.TempDir(), "r", nil)
	held(t, dir, time.Hour, true)
	at := dir.CaseDir("one").Attempt(0, 1)
	var agent rundir.AgentRecord
	require.NoError(t, rundir.ReadJSON(at.AgentFile(), &agent))
	agent.End = &rundir.AgentEnd{At: now.Add(-30 * time.Minute)}
	require.NoError(t, rundir.WriteJSON(at.AgentFile(), agent))
	require.NoError(t, os.MkdirAll(filepath.Dir(at.Run(0).RoleLog("GEN_0")), 0o700))
	require.NoError(t, os.WriteFile(at.Run(0).RoleLog("GEN_0"), []byte("last\n"), 0o600))

	s, err := Reader{Now: now}.Status(dir)
	require.NoError(t, err)
	require.InDelta(t, 4, s.Cost, 1e-9, "8 GPUs for half an hour")
	var out bytes.Buffer
	require.NoError(t, s.Write(&out, now))
	require.Contains(t, out.String(), "r: detached, and its jobs are over: resume makes the report\n")
	require.Regexp(t, `one +job over +77 +benchmark +30m00s +1/2 ready +GEN_0: ready<U\+202E>gnol\n`, out.String())
	require.Contains(t, out.String(), "next:   ci-disagg resume "+string(dir))

	out.Reset()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l := Logs{Dir: dir, Lines: -1, Follow: true, Poll: time.Millisecond}
	require.NoError(t, Reader{}.Show(ctx, l, &out, func() time.Time { return now }))
	require.Equal(t, "[GEN_0] last\n", out.String())
}

// An agent that was killed says no end: one that has given no sign of life for long is gone, and its log is over.
func TestLogOfAKilledAgentIsOver(t *testing.T) {
	t.Parallel()
	dir := made(t, t.TempDir(), "r", nil)
	held(t, dir, time.Hour, true)
	at := dir.CaseDir("one").Attempt(0, 1)
	require.NoError(t, os.MkdirAll(filepath.Dir(at.Run(0).RoleLog("GEN_0")), 0o700))
	require.NoError(t, os.WriteFile(at.Run(0).RoleLog("GEN_0"), []byte("last\n"), 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	later, asked := now, 0
	clock := func() time.Time {
		if asked++; asked == 3 {
			later = now.Add(10 * time.Minute)
		}
		return later
	}
	var out bytes.Buffer
	require.NoError(t, Reader{}.Show(ctx, Logs{Dir: dir, Lines: -1, Follow: true, Poll: time.Millisecond}, &out, clock))
	require.Equal(t, "[GEN_0] last\n", out.String())
	require.Equal(t, 3, asked, "while it gives signs of life something may be added")
}

// what is written is kept, and somebody is told.
type telling struct {
	bytes.Buffer
	tell func(all string)
}

func (w *telling) Write(b []byte) (int, error) {
	n, err := w.Buffer.Write(b)
	w.tell(w.String())
	return n, err
}

func TestLogs(t *testing.T) {
	t.Parallel()
	dir := made(t, t.TempDir(), "r", nil)
	held(t, dir, 0, false)
	log := dir.CaseDir("one").Attempt(0, 1).Run(0).RoleLog("GEN_0")
	add := func(path, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		require.NoError(t, err)
		_, err = f.WriteString(text)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	add(log, "a\nb\x1b[31m\u202e\nc\n")
	show := func(l Logs) string {
		l.Dir = dir
		var out bytes.Buffer
		require.NoError(t, Reader{}.Show(t.Context(), l, &out, func() time.Time { return now }))
		return out.String()
	}
	require.Equal(t, "[GEN_0] a\n[GEN_0] b\x1b[31m\u202e\n[GEN_0] c\n", show(Logs{Lines: -1}))
	require.Equal(t, "b^[[31m<U+202E>\nc\n", show(Logs{Lines: 2, Role: "gen_0", Case: "one", Clean: true}))
	require.Empty(t, show(Logs{Lines: 0}))
	for _, tt := range []struct {
		l    Logs
		says string
	}{
		{Logs{Case: "ome"}, `run r has no case "ome"; did you mean`},
		{Logs{Role: "GEN_1"}, `no role "GEN_1"; did you mean "GEN_0"?`},
	} {
		tt.l.Dir = dir
		require.ErrorContains(t, Reader{}.Show(t.Context(), tt.l, &bytes.Buffer{}, func() time.Time { return now }), tt.says)
	}

	// Followed: what is added is shown, up to a last line without an end, until the run is over.
	out := &telling{}
	out.tell = func(all string) {
		switch {
		case strings.HasSuffix(all, "c\n"):
			add(log, "d\nlast")
		case strings.HasSuffix(all, "d\n"):
			made(t, filepath.Dir(string(dir)), "r", func(r *rundir.Run) {
				r.Ended, r.Cases[0].State = &now, rundir.CaseDone
			})
			held(t, dir, time.Hour, true)
		}
	}
	l := Logs{Dir: dir, Lines: 1, Follow: true, Poll: time.Millisecond}
	require.NoError(t, Reader{}.Show(t.Context(), l, out, func() time.Time { return now }))
	require.Equal(t, "[GEN_0] c\n[GEN_0] d\n[GEN_0] last\n", out.String())
}

// TestNoLogIsSaid: silence would look like roles that have nothing to say.
func TestNoLogIsSaid(t *testing.T) {
	t.Parallel()
	dir := made(t, t.TempDir(), "r", nil)
	var out bytes.Buffer
	require.ErrorContains(t, Reader{}.Show(t.Context(), Logs{Dir: dir, Lines: -1}, &out, func() time.Time { return now }), "no log is here yet")
}

// A link in the place of a log is not followed, and a FIFO is not waited for.
func TestLogsOfPlantedNodes(t *testing.T) {
	t.Parallel()
	dir := made(t, t.TempDir(), "r", nil)
	log := dir.CaseDir("one").Attempt(0, 1).Run(0).RoleLog("GEN_0")
	require.NoError(t, os.MkdirAll(filepath.Dir(log), 0o700))
	require.NoError(t, os.Symlink("/etc/passwd", log))
	var out bytes.Buffer
	require.ErrorContains(t, Reader{}.Show(t.Context(), Logs{Dir: dir, Lines: -1}, &out, func() time.Time { return now }), "is a symbolic link")
	require.Empty(t, out.String())
}

// A report has looked at more than the run's record tells: what it says of an attempt is what status says.
func TestTheReportSaysHowAnAttemptEnded(t *testing.T) {
	t.Parallel()
	ended := now.Add(-time.Minute)
	for state, want := range map[string]string{rundir.CaseDone: "test_failed", rundir.CaseRunning: "infra"} {
		dir := made(t, t.TempDir(), "planted", func(r *rundir.Run) {
			r.Cases[0].State, r.Cases[0].Attempts[0].Outcome = state, rundir.OutcomeInfra
			if state == rundir.CaseDone {
				r.Ended = &ended
			}
		})
		doc := `{"schema": 2, "result": "test_failed", "exit_code": 1, "cases": [{"slug": "one", "result": "test_failed", "attempts": [` +
			`{"rep": 0, "attempt": 1, "outcome": "test_failed"}, {"rep": 0, "attempt": 2, "outcome": "passed"}]}]}`
		require.NoError(t, rundir.WriteFile(filepath.Join(dir.Report(), rundir.ReportVerdict), []byte(doc), rundir.FileMode))
		status, err := Reader{Now: now}.Status(dir)
		require.NoError(t, err)
		require.Equal(t, want, status.List[0].Outcome)
	}
}

// A case whose attempt is over goes on in nobody's hands: it waits for resume, and nobody waits for its logs.
func TestOverIsNotRunning(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	swept := made(t, parent, "swept", func(r *rundir.Run) { r.Created = now.Add(-time.Hour); r.Cases[0].Attempts[0].Session = true })
	require.NoError(t, rundir.WriteJSON(swept.CaseDir("one").Attempt(0, 1).OutcomeFile(), rundir.AttemptOutcome{Schema: rundir.Schema, Outcome: rundir.OutcomeCancelled}))
	made(t, parent, "cancelled", func(r *rundir.Run) {
		r.Interrupted, r.Cases[0].Attempts[0].Outcome = &rundir.Interruption{Signal: 15}, rundir.OutcomeCancelled
	})
	driven := made(t, parent, "driven", func(r *rundir.Run) { r.Cases[0].Attempts[0].Outcome = rundir.OutcomeInfra })
	held(t, driven, time.Second, false)
	r := Reader{Now: now}
	list, err := r.List(parent, Choice{})
	require.NoError(t, err)
	for _, run := range list.Runs {
		want := Counts{All: 1, Waiting: 1}
		if run.ID == "driven" {
			want = Counts{All: 1, Running: 1}
		}
		require.Equal(t, want, run.Cases, run.ID)
	}
	s, err := r.Status(swept)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, s.Write(&out, now))
	require.Regexp(t, `\none +waiting, cancelled`, out.String())
	require.Contains(t, out.String(), "nightly, paired, main")
	require.False(t, s.maySay(s.List[0], now))

	require.Equal(t, "swept", IDs(parent)[0], "the newest first")
	none, err := r.List(parent, Choice{States: []string{"regression"}})
	require.NoError(t, err)
	out.Reset()
	require.NoError(t, none.Write(&out, now))
	require.Contains(t, out.String(), "is what the flags ask for; others: 3\n")
}
