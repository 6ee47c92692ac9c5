package runview

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/label"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// State is where a run stands.
type State string

// The states of a run.
const (
	Running     State = "running"     // somebody drives it
	Detached    State = "detached"    // its jobs go on; nobody drives it, on purpose
	Stopped     State = "stopped"     // it is not over, and nobody drives it
	Interrupted State = "interrupted" // a signal ended its driver, and nobody has gone on with it
	Ended       State = "ended"       // it is over; its report says how
)

// Run is a run as it is listed.
type Run struct {
	ID    string `json:"id"`
	Dir   string `json:"dir"`
	State State  `json:"state"`
	Reported
	Stage   string `json:"stage"`
	Mode    string `json:"mode"`
	Paired  bool   `json:"paired,omitempty"` // it began with paired sessions
	Backend string `json:"backend"`
	Cluster string `json:"cluster,omitempty"`
	Build
	Created time.Time  `json:"created"`
	Ended   *time.Time `json:"ended,omitempty"`
	Driver  string     `json:"driver,omitempty"` // machine of the process that drives it, or did last
	Beat    *time.Time `json:"heartbeat,omitempty"`
	Cases   Counts     `json:"cases"`
	Cost    float64    `json:"gpu_hours"` // allocated so far, of all attempts
	Problem string     `json:"problem,omitempty"`
}

// Reported is what a run's report says of it.
type Reported struct {
	Result string `json:"result,omitempty"` // passed, test_failed, …
	Exit   *int   `json:"exit_code,omitempty"`
	Word   string `json:"word,omitempty"`     // as the console said it: passed only where something was judged
	Says   string `json:"headline,omitempty"` // one sentence

	unjudged verdict.Word // why its green result is none that passed
}

// Build is what a run measured.
type Build struct {
	Branch string `json:"branch,omitempty"`
	Commit string `json:"commit,omitempty"`
	Change string `json:"change,omitempty"`
}

// Counts are how many cases of a run stand where.
type Counts struct {
	All     int `json:"all"`
	Waiting int `json:"waiting"`
	Running int `json:"running"`
	Done    int `json:"done"`
	Skipped int `json:"skipped"`
}

// Reader reads run directories.
type Reader struct {
	Now time.Time
	// Far reads a small file of a job that is not seen from here, behind a login node; nil = none is.
	Far func(path string) ([]byte, error)
}

// bounds of what is read.
const (
	maxVerdict = 256 << 20
	maxRuns    = 20_000
)

// verdictDoc is what is read of a run's report.
type verdictDoc struct {
	report.Decision
	Headline string        `json:"headline"`
	Counts   report.Counts `json:"counts"`
	Cases    []verdictCase `json:"cases"`
}

type verdictCase struct {
	report.Decision
	Slug     string       `json:"slug"`
	Message  string       `json:"message"`
	Verdict  verdict.Word `json:"verdict"` // worst over the gating metrics
	Attempts []struct {
		Rep      int     `json:"rep"`
		Attempt  int     `json:"attempt"`
		Outcome  string  `json:"outcome"`
		GPUHours float64 `json:"gpu_hours_allocated"`
	} `json:"attempts"`
}

// read is the run of a directory.
func (r Reader) read(dir rundir.Dir) (Run, rundir.Run, *verdictDoc, error) {
	tree, err := dir.Tree()
	if err != nil {
		return Run{}, rundir.Run{}, nil, err
	}
	defer func() { _ = tree.Close() }() // only read from
	out, rec, err := r.recorded(tree, dir)
	if err != nil {
		return Run{}, rec, nil, err
	}
	doc := reported(tree, dir)
	if doc != nil && (out.State == Ended || out.State == Interrupted) {
		out.Reported = Reported{doc.Result, &doc.ExitCode, label.Run(doc.Decision, doc.Counts), doc.Headline, doc.Unjudged}
	}
	out.Cost = r.cost(tree, dir, rec, doc)
	return out, rec, doc, nil
}

// brief is the run of a directory without its result and cost, which take many files to tell.
func (r Reader) brief(dir rundir.Dir) (Run, error) {
	tree, err := dir.Tree()
	if err != nil {
		return Run{}, err
	}
	defer func() { _ = tree.Close() }() // only read from
	out, _, err := r.recorded(tree, dir)
	return out, err
}

// recorded is what the run's own record and its lease say.
func (r Reader) recorded(tree *rundir.Tree, dir rundir.Dir) (Run, rundir.Run, error) {
	var rec rundir.Run
	if err := tree.ReadJSON(dir.RunFile(), &rec); err != nil {
		return Run{}, rec, err
	}
	b := rec.Build
	out := Run{
		ID: rec.ID, Dir: string(dir), Stage: rec.Stage, Mode: b.Mode, Backend: rec.Backend, Cluster: rec.Cluster,
		Build: Build{b.Branch, b.Commit, b.Change}, Created: rec.Created, Ended: rec.Ended,
	}
	held, err := lease.Read(dir.LeaseFile())
	if err != nil {
		out.Problem = err.Error()
	}
	out.State = r.state(rec, held)
	if held != nil {
		out.Driver, out.Beat = held.Host, &held.Heartbeat
	}
	for i := range rec.Cases {
		c := &rec.Cases[i]
		out.Paired = out.Paired || len(c.Attempts) > 0 && c.Attempts[0].Session
		if out.State != Running && over(tree, dir, *c) {
			c.State = rundir.CaseWaiting
		}
	}
	out.Cases = countCases(rec.Cases)
	return out, rec, nil
}

// over reports whether a case was begun and its newest attempt is over: where nobody drives the run it waits for
// resume. Who ends the job of a driver that died writes the outcome, and leaves the run's record to resume.
func over(tree *rundir.Tree, dir rundir.Dir, c rundir.CaseState) bool {
	n := len(c.Attempts)
	if c.State != rundir.CaseRunning || n == 0 {
		return false
	}
	a := c.Attempts[n-1]
	return a.Outcome != "" || tree.Has(dir.CaseDir(c.Slug).Attempt(a.Rep, a.Attempt).OutcomeFile())
}

// reported reads the report of a run, nil where there is none that can be read.
func reported(tree *rundir.Tree, dir rundir.Dir) *verdictDoc {
	path := filepath.Join(dir.Report(), rundir.ReportVerdict)
	data, err := tree.ReadFile(path, maxVerdict)
	if err != nil {
		return nil
	}
	var doc verdictDoc
	if rundir.Decode(path, data, &doc) != nil {
		return nil
	}
	doc.judge()
	return &doc
}

// judge fills in, by the cases' verdicts, what was green without being judged: reports did not always say so.
func (d *verdictDoc) judge() {
	whole := report.Report{Decision: d.Decision}
	for i := range d.Cases {
		c := &d.Cases[i]
		if c.Result == report.ResultPassed && words.NotJudged(c.Verdict) != "" {
			c.Unjudged = cmp.Or(c.Unjudged, c.Verdict)
		}
		whole.Cases = append(whole.Cases, report.CaseReport{Decision: c.Decision})
	}
	d.Unjudged = cmp.Or(d.Unjudged, report.Unjudged(whole))
}

// state is where the run stands.
func (r Reader) state(rec rundir.Run, held *rundir.Lease) State {
	switch {
	case held != nil && lease.Driven(*held, r.Now):
		return Running
	case rec.Interrupted != nil:
		return Interrupted
	case rec.Ended != nil:
		return Ended
	case held != nil && held.Detached:
		return Detached
	default:
		return Stopped
	}
}

func countCases(cases []rundir.CaseState) Counts {
	n := Counts{All: len(cases)}
	for _, c := range cases {
		switch c.State {
		case rundir.CaseWaiting:
			n.Waiting++
		case rundir.CaseRunning:
			n.Running++
		case rundir.CaseSkipped:
			n.Skipped++
		default:
			n.Done++
		}
	}
	return n
}

// attemptKey tells attempts apart.
type attemptKey struct {
	slug         string
	rep, attempt int
}

// of is what a report says of a case; nil says nothing.
func (d *verdictDoc) of(slug string) (verdictCase, bool) {
	if d == nil {
		return verdictCase{}, false
	}
	i := slices.IndexFunc(d.Cases, func(c verdictCase) bool { return c.Slug == slug })
	if i < 0 {
		return verdictCase{}, false
	}
	return d.Cases[i], true
}

// outcome is how an attempt ended by a report, which has looked at more than the run's record tells; "" = it says
// nothing.
func (c verdictCase) outcome(rep, attempt int) string {
	for _, a := range c.Attempts {
		if a.Rep == rep && a.Attempt == attempt {
			return a.Outcome
		}
	}
	return ""
}

// hours are the GPU-hours of attempts as a report has them; nil has none.
func (d *verdictDoc) hours() map[attemptKey]float64 {
	out := map[attemptKey]float64{}
	if d == nil {
		return out
	}
	for _, c := range d.Cases {
		for _, a := range c.Attempts {
			out[attemptKey{c.Slug, a.Rep, a.Attempt}] = a.GPUHours
		}
	}
	return out
}

// cost is the GPU-hours that the run's attempts have held: as the report says of those that are over, else by when the
// agent began.
func (r Reader) cost(tree *rundir.Tree, dir rundir.Dir, rec rundir.Run, doc *verdictDoc) float64 {
	told, sum := doc.hours(), 0.0
	for _, c := range rec.Cases {
		for _, a := range c.Attempts {
			if hours, ok := told[attemptKey{c.Slug, a.Rep, a.Attempt}]; ok && a.Outcome != "" {
				sum += hours
				continue
			}
			var plan rundir.Plan
			if tree.ReadJSON(dir.CaseDir(c.Slug).PlanFile(), &plan) == nil && plan.AllocatedGPUs > 0 {
				sum += r.held(tree, dir.CaseDir(c.Slug).Attempt(a.Rep, a.Attempt)).Hours() * float64(plan.AllocatedGPUs)
			}
		}
	}
	return sum
}

// held is for how long an attempt has had its nodes.
func (r Reader) held(tree *rundir.Tree, a rundir.AttemptDir) time.Duration {
	var out rundir.AttemptOutcome
	if tree.ReadJSON(a.OutcomeFile(), &out) == nil {
		if out.Started == nil {
			return 0
		}
		return max(0, out.Ended.Sub(*out.Started))
	}
	rec, err := r.agent(tree, a)
	if err != nil {
		return 0
	}
	if rec.End != nil {
		return max(0, rec.End.At.Sub(rec.Started))
	}
	return max(0, r.Now.Sub(rec.Started))
}

// agent is the agent's record of an attempt, wherever it lies.
func (r Reader) agent(tree *rundir.Tree, a rundir.AttemptDir) (rec rundir.AgentRecord, err error) {
	if err = tree.ReadJSON(a.AgentFile(), &rec); !errors.Is(err, fs.ErrNotExist) || r.Far == nil {
		return rec, err
	}
	var job rundir.Job
	if tree.ReadJSON(a.JobFile(), &job) != nil || job.Dir == "" || job.Dir == string(a) {
		return rec, err
	}
	path := rundir.AttemptDir(job.Dir).AgentFile()
	data, err := r.Far(path)
	if err != nil {
		return rec, err
	}
	return rec, rundir.Decode(path, data, &rec)
}

// readFar reads a file behind a login node.
func readFar(ctx context.Context, h host.Host, path string) ([]byte, error) {
	got, err := h.Read(ctx, maxFar, path)
	if err != nil {
		return nil, err
	}
	if data, ok := got[path]; ok {
		return data, nil
	}
	return nil, fs.ErrNotExist
}

// maxFar bounds a record behind a login node.
const maxFar = 16 << 20
