package runview

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/ci-disagg/ci-disagg/internal/report/label"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/table"
)

// Status is what status prints: one run, case by case.
type Status struct {
	Schema int `json:"schema"`
	Run
	List []Case `json:"case_list"` // in suite order
}

// Words are what can stand behind n words of a command line that begins with the run: its cases, then their roles.
func (s Status) Words(n int) (out []string) {
	for _, c := range s.List {
		if n == 1 {
			out = append(out, rundir.ShortID(c.ID))
		}
		for _, role := range c.Roles {
			if n == 2 {
				out = append(out, role.Name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Case is where a case stands. Of its attempts the newest is told of.
type Case struct {
	ID      string     `json:"id"`
	Slug    string     `json:"slug"`
	State   string     `json:"state"`            // waiting, running, done, skipped
	Result  string     `json:"result,omitempty"` // of the report, where there is one
	Word    string     `json:"word,omitempty"`   // likewise, as the console said it
	Says    string     `json:"message,omitempty"`
	Rep     int        `json:"rep"`
	Attempt int        `json:"attempt,omitempty"` // 0 = none yet
	Why     string     `json:"why,omitempty"`     // of the attempt
	Dir     string     `json:"dir,omitempty"`     // of the attempt
	Job     string     `json:"job_id,omitempty"`
	Outcome string     `json:"outcome,omitempty"`
	Phase   string     `json:"phase,omitempty"`
	Since   *time.Time `json:"phase_since,omitempty"`
	Beat    *time.Time `json:"heartbeat,omitempty"` // last sign of life of its agent
	Over    *time.Time `json:"job_over,omitempty"`  // when its agent ended; what that means, the run's driver says
	Nodes   []string   `json:"nodes,omitempty"`
	sessionRuns
	Roles    []Role `json:"roles,omitempty"`
	LastSaid string `json:"last_event,omitempty"`
}

// sessionRuns says how far a paired session is.
type sessionRuns struct {
	Runs   int `json:"runs_done,omitempty"`
	OfRuns int `json:"runs_planned,omitempty"`
	run    int // the one that goes on, or the last; also of an attempt that is no session
}

// Role is where a role of an attempt stands.
type Role struct {
	Name  string     `json:"name"`
	Kind  string     `json:"kind"`
	State string     `json:"state"`
	Ready *time.Time `json:"ready,omitempty"`
	Ended *time.Time `json:"ended,omitempty"`
	Exit  int        `json:"exit"`
	Bytes int64      `json:"log_bytes"`
}

// Status reads one run.
func (r Reader) Status(dir rundir.Dir) (Status, error) {
	run, rec, doc, err := r.read(dir)
	if err != nil {
		return Status{}, err
	}
	tree, err := dir.Tree()
	if err != nil {
		return Status{}, err
	}
	defer func() { _ = tree.Close() }() // only read from
	out := Status{Schema: Schema, Run: run, List: []Case{}}
	for _, c := range rec.Cases {
		shown := Case{ID: c.ID, Slug: c.Slug, State: c.State}
		if n := len(c.Attempts); n > 0 {
			r.attempt(tree, dir, c.Attempts[n-1], &shown)
		}
		if told, ok := doc.of(c.Slug); ok && (c.State == rundir.CaseDone || run.Exit != nil) {
			shown.Result, shown.Word, shown.Says = told.Result, label.Of(told.Decision), told.Message
			shown.Outcome = cmp.Or(told.outcome(shown.Rep, shown.Attempt), shown.Outcome)
		}
		out.List = append(out.List, shown)
	}
	return out, nil
}

// attempt fills in what is known of the newest attempt.
func (r Reader) attempt(tree *rundir.Tree, dir rundir.Dir, a rundir.Attempt, c *Case) {
	at := dir.CaseDir(c.Slug).Attempt(a.Rep, a.Attempt)
	c.Rep, c.Attempt, c.Why, c.Dir, c.Outcome = a.Rep, a.Attempt, a.Why, string(at), string(a.Outcome)
	var ended rundir.AttemptOutcome
	if c.Outcome == "" && tree.ReadJSON(at.OutcomeFile(), &ended) == nil {
		c.Outcome = string(ended.Outcome)
	}
	var job rundir.Job
	if tree.ReadJSON(at.JobFile(), &job) == nil {
		c.Job = job.ID
	}
	rec, err := r.agent(tree, at)
	switch {
	case err != nil && c.Outcome == "":
		c.Phase = string(rundir.PhaseQueue)
		c.Since = job.Submitted
		return
	case err != nil:
		return
	}
	c.Nodes, c.Beat, c.Runs, c.run = rec.Nodes, &rec.Heartbeat, len(rec.Runs), rec.Run.Index
	if a.Session {
		var plan rundir.Plan
		if tree.ReadJSON(at.PlanFile(), &plan) == nil {
			c.OfRuns = len(plan.Runs)
		}
	} else {
		c.Runs = 0
	}
	if n := len(rec.Phases); n > 0 {
		c.Phase, c.Since = string(rec.Phases[n-1].Phase), &rec.Phases[n-1].Start
	}
	if rec.End != nil {
		c.Over, c.Since = &rec.End.At, &rec.End.At
	}
	if n := len(rec.Timeline); n > 0 {
		e := rec.Timeline[n-1]
		c.LastSaid = strings.TrimPrefix(e.Role+": "+e.What, ": ")
	}
	for _, role := range rec.Roles {
		c.Roles = append(c.Roles, Role{role.Name, role.Kind, role.State, role.Ready, role.Ended, role.Exit, role.LogBytes})
	}
}

// Write prints the status for people.
func (s Status) Write(w io.Writer, now time.Time) error {
	fmt.Fprintf(w, "%s: %s", clean(s.ID), s.State)
	if s.State == Detached && !s.jobs() {
		fmt.Fprint(w, ", and its jobs are over: resume makes the report")
	}
	if s.Exit != nil {
		fmt.Fprintf(w, ", %s: %s", s.verdict(), clean(s.Says))
	}
	fmt.Fprintf(w, "\n%s; began %s ago, %s GPU-hours so far\n", s.what(), age(now.Sub(s.Created)), hours(s.Cost))
	if s.State == Running && s.Beat != nil {
		fmt.Fprintf(w, "driven on %s, last sign of life %s ago\n", clean(s.Driver), age(now.Sub(*s.Beat)))
	}
	var t table.Table
	t.Add("case", "state", "job", "phase", "for", "roles", "last")
	for _, c := range s.List {
		t.Add(clean(rundir.ShortID(c.ID)), c.word(), clean(c.Job), clean(c.Phase), c.span(now), c.roles(), c.last(now))
	}
	if err := t.Write(w); err != nil {
		return err
	}
	for _, line := range s.next() {
		fmt.Fprintf(w, "next:   %s\n", line)
	}
	return nil
}

// jobs reports whether a job of the run may go on.
func (s Status) jobs() bool {
	return slices.ContainsFunc(s.List, func(c Case) bool { return c.goesOn() && c.Over == nil })
}

// next is what one does with a run in such a state.
func (s Status) next() []string {
	switch s.State {
	case Detached, Stopped, Interrupted:
		return []string{"ci-disagg resume " + s.Dir}
	case Running:
		return []string{"ci-disagg logs -f " + s.Dir}
	default:
		return []string{"less " + rundir.Dir(s.Dir).Report() + "/" + rundir.ReportSummary}
	}
}

// word is the state of a case, and how its attempt ended.
func (c Case) word() string {
	text := c.State
	if c.goesOn() && c.Over != nil {
		text = "job over"
	}
	switch {
	case c.Word != "":
		text = clean(c.Word)
	case c.Outcome != "":
		text += ", " + clean(c.Outcome)
	}
	if c.Attempt > 1 || c.Rep > 0 {
		text += " (" + rundir.AttemptName(c.Rep, c.Attempt) + ")"
	}
	return text
}

// span is for how long the phase goes on.
func (c Case) span(now time.Time) string {
	if c.Since == nil || !c.goesOn() {
		return ""
	}
	return age(now.Sub(*c.Since))
}

// goesOn reports whether nothing is decided of the case that has begun.
func (c Case) goesOn() bool { return c.State == rundir.CaseRunning }

// roles counts those that are ready, or have ended.
func (c Case) roles() string {
	if len(c.Roles) == 0 {
		return ""
	}
	ready, ended := 0, 0
	for _, r := range c.Roles {
		switch {
		case r.Ended != nil:
			ended++
		case r.Ready != nil:
			ready++
		}
	}
	text := fmt.Sprintf("%d/%d ready", ready+ended, len(c.Roles))
	if ended > 0 {
		text += fmt.Sprintf(", %d ended", ended)
	}
	if c.OfRuns > 0 {
		text += fmt.Sprintf(", run %d of at most %d", c.Runs+1, c.OfRuns)
	}
	return text
}

// last is what was seen last of a case.
func (c Case) last(now time.Time) string {
	switch {
	case c.Says != "":
		return clean(c.Says)
	case c.Beat != nil && c.goesOn() && c.Over == nil:
		return fmt.Sprintf("%s (agent seen %s ago)", clean(c.LastSaid), age(now.Sub(*c.Beat)))
	default:
		return clean(c.LastSaid)
	}
}

// clean is a text of somebody else's without what turns or hides a line.
func clean(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar {
			fmt.Fprintf(&b, "<U+%04X>", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
