package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	merge "github.com/ci-disagg/ci-disagg/internal/report/oldmerge"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// tailLines and tailBytes bound what is shown of a role's log.
const (
	tailLines = 60
	tailBytes = 64 << 10
)

// attemptView is one attempt as the report sees it: the records, the result
// files, and the blame judged again with both.
type attemptView struct {
	AttemptBundle
	run     merge.Run
	outcome rundir.Outcome  // with the result files taken into account
	finding *rundir.Finding // likewise
}

// view looks at one attempt.
func (b Builder) view(c CaseBundle, a AttemptBundle, counts bool) attemptView {
	v := attemptView{AttemptBundle: a, outcome: a.Outcome(), finding: a.Finding()}
	v.run = merge.Run{Rep: a.Rep, Attempt: a.Attempt.Attempt, Counts: counts, Why: a.Why}
	if r := a.Result; r != nil {
		v.run.JobID, v.run.Reason, v.run.Started = r.JobID, r.Reason, r.Started
		ended := r.Ended
		v.run.Ended = &ended
	}
	if a.Agent != nil {
		v.run.Timeline, v.run.Drained = a.Agent.Timeline, drainedAt(*a.Agent)
		if v.run.Started == nil {
			v.run.Started = &a.Agent.Started
		}
	}
	for _, p := range append(slices.Clone(c.Plan.PreRoles), c.Plan.Roles...) {
		v.run.Roles = append(v.run.Roles, roleView(c.Plan, a, p))
	}
	v.run.Roles = append(v.run.Roles, beside(c.Plan, a, v.run.Roles)...)
	b.judgeAgain(&v)
	// Under a team's own draft there is no agent: the roles' results have to do.
	if v.Agent == nil && v.outcome == rundir.OutcomePassed && !c.Plan.Draft {
		v.outcome, v.finding = rundir.OutcomeInfra, noRecord(a)
	}
	v.run.Outcome, v.run.Finding = v.outcome, v.finding
	if v.run.Reason == "" || v.outcome != a.Outcome() && v.finding != nil {
		v.run.Reason = reason(v)
	}
	return v
}

// noRecord is the finding on a pass that nothing proves any more.
func noRecord(a AttemptBundle) *rundir.Finding {
	why := strings.Join(a.Trouble, "; ")
	if why == "" {
		why = "agent.json is missing"
	}
	return &rundir.Finding{
		Class: string(blame.Infra), Kind: "no-record", Rule: "agent-record-missing",
		Message: why + ": nothing proves that every role ended well",
	}
}

// unordered is the finding on red result files that no agent's facts put in
// order (a team's own draft ran the roles): with one role there is no doubt.
func unordered(found []blame.Event) *rundir.Finding {
	f := &rundir.Finding{Class: string(blame.Unknown), Kind: "no-record", Rule: "results-without-agent", Root: found[0].Role}
	for _, e := range found {
		if e.Role != f.Root {
			f.Root = ""
			f.Message = fmt.Sprintf("%s: %s; other roles failed too, and nothing proves which was first", found[0].Role, found[0].Text)
			return f
		}
	}
	f.Message = fmt.Sprintf("%s: %s", f.Root, found[0].Text)
	return f
}

func reason(v attemptView) string {
	if v.finding != nil {
		return v.finding.Message
	}
	return strings.Join(v.Trouble, "; ")
}

// drainedAt is when the client said it was through, nil if it never did.
func drainedAt(rec rundir.AgentRecord) *time.Time {
	for _, s := range rec.Phases {
		if s.Phase == rundir.PhaseDrain {
			return &s.Start
		}
	}
	return nil
}

// roleView is one planned role with its record and what it left.
func roleView(plan rundir.Plan, a AttemptBundle, p rundir.RolePlan) merge.Role {
	r := merge.Role{JUnit: p.JUnit, Log: filepath.Join("roles", p.Name, "output.log")}
	r.RoleRecord = rundir.RoleRecord{Name: p.Name, Kind: p.Kind, State: rundir.RoleNeverStarted}
	if rec := roleRecord(a, p.Name); rec != nil {
		r.RoleRecord = *rec
	} else if plan.Draft {
		// Nobody watched this role. What it left, or did not leave, speaks for it.
		r.State = rundir.RoleEnded
	}
	if p.JUnit {
		r.Expected = plan.Expected.NodeIDs
	}
	files, _ := filepath.Glob(escapeGlob(a.Dir.RoleDir(p.Name)) + "/results.*.xml") // the pattern is well-formed
	slices.Sort(files)
	for _, f := range files {
		file := merge.File{Path: f, Rank: rankOf(f)}
		if r.Started != nil {
			file.Since = *r.Started
		}
		r.Files = append(r.Files, file)
	}
	r.Tail = tail(a.Dir.RoleLog(p.Name))
	return r
}

// roleRecord is the role's record: the agent's, else the role's own status file,
// which is all there is when the agent was killed.
func roleRecord(a AttemptBundle, name string) *rundir.RoleRecord {
	if a.Agent != nil {
		for _, r := range a.Agent.Roles {
			if r.Name == name {
				return &r
			}
		}
	}
	var trouble []string
	return readRecord[rundir.RoleRecord](a.Dir.RoleStatus(name), &trouble)
}

// beside are the agent's own steps, which no plan lists as roles: the install step.
func beside(plan rundir.Plan, a AttemptBundle, planned []merge.Role) []merge.Role {
	if a.Agent == nil {
		return nil
	}
	var out []merge.Role
	for _, rec := range a.Agent.Roles {
		if !slices.ContainsFunc(planned, func(r merge.Role) bool { return r.Name == rec.Name }) {
			out = append(out, roleView(plan, a, rundir.RolePlan{Name: rec.Name, Kind: rec.Kind}))
		}
	}
	return out
}

// rankOf reads the task id from results.<procid>.xml.
func rankOf(path string) int {
	mid := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "results."), ".xml")
	n, err := strconv.Atoi(mid)
	if err != nil {
		return 0
	}
	return n
}

// escapeGlob takes the meaning off a directory name's special characters.
func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// slurmDecided says that the finding rests on what Slurm told the client after
// the agent's last word (a dead node, a preemption): result files cannot add to it.
func slurmDecided(a AttemptBundle) bool {
	if a.Outcome() == rundir.OutcomePassed || a.Result == nil || a.Result.Finding == nil {
		return false
	}
	return a.Agent == nil || a.Agent.End == nil || a.Agent.End.Finding == nil || a.Agent.End.Finding.Rule != a.Result.Finding.Rule
}

// judgeAgain judges blame with the result files as further evidence. An outcome
// only gets worse by it: a failing test that the agent could not see, or a
// result that is not there, is never green.
func (b Builder) judgeAgain(v *attemptView) {
	found := merge.Evidence(v.run, b.Merge.Read)
	if len(found) == 0 || slurmDecided(v.AttemptBundle) {
		return
	}
	ev := blame.Evidence{}
	if v.Agent != nil && v.Agent.End != nil && len(v.Agent.End.Evidence) > 0 {
		if err := json.Unmarshal(v.Agent.End.Evidence, &ev); err != nil {
			v.Trouble = append(v.Trouble, fmt.Sprintf("agent.json: evidence: %v", err))
		}
	}
	if len(ev.Roles) == 0 {
		if v.outcome == rundir.OutcomePassed {
			v.outcome, v.finding = rundir.OutcomeTestFailed, unordered(found)
		}
		return
	}
	ev.Classes = b.Classes
	ev.Events = append(ev.Events, found...)
	f := blame.Judge(ev)
	if f.Kind == "" {
		return
	}
	rec := findingRecord(f)
	switch v.outcome {
	case rundir.OutcomePassed:
		v.outcome, v.finding = rundir.OutcomeTestFailed, &rec
	case rundir.OutcomeTestFailed, rundir.OutcomeInfra:
		v.finding = &rec
		v.outcome = rundir.OutcomeTestFailed
		if f.Class == blame.Infra {
			v.outcome = rundir.OutcomeInfra
		}
	default: // how the job ended as a whole stands
	}
}

// findingRecord is a finding as it stands in a record.
func findingRecord(f blame.Finding) rundir.Finding {
	rec := rundir.Finding{
		Root: f.Root, Class: string(f.Class), Kind: f.Kind, Rule: f.Rule, Message: f.Message,
		Roots: f.MoreRoots, Collateral: f.Collateral, BadNodes: f.BadNodes,
	}
	if f.Line != nil {
		rec.Line = &rundir.LogLine{File: f.Line.File, Number: f.Line.Number, Text: f.Line.Text, Last: f.Line.Last}
	}
	return rec
}

// tail is the last lines of a log, nil when there is none. It reads a bounded
// part of the file, whatever its size.
func tail(path string) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return nil
	}
	from := max(0, info.Size()-tailBytes)
	buf := make([]byte, info.Size()-from)
	n, _ := f.ReadAt(buf, from)
	text := strings.ToValidUTF8(string(buf[:n]), "\uFFFD")
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if from > 0 && len(lines) > 1 {
		lines = lines[1:] // begins in the middle
	}
	return lines[max(0, len(lines)-tailLines):]
}
