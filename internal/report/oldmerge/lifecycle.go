package merge

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// lifecycle makes one case per role process: did it end as it should? It is red
// when its end is not explained by red cases of its own.
func (m *merger) lifecycle() error {
	for ci, c := range m.in.Cases {
		class := m.stage + ".lifecycle." + dotless(orElse(c.Slug, "run"))
		for _, role := range m.rolesOf(c) {
			takes, kept := m.endsOf(ci, role)
			if len(takes) == 0 {
				continue
			}
			if err := m.putEnd(ci, class, role, foldWorst(takes), kept); err != nil {
				return err
			}
		}
		if job, ok := m.jobEnd(c); ok {
			if err := m.putEnd(ci, class, jobName, job, ""); err != nil {
				return err
			}
		}
		m.addTimes(c)
	}
	return nil
}

func (m *merger) rolesOf(c Case) []string {
	return slices.DeleteFunc(slices.Clone(m.roles), func(name string) bool {
		return !slices.ContainsFunc(c.Runs, func(r Run) bool {
			return r.Counts && slices.ContainsFunc(r.Roles, func(role Role) bool { return role.Name == name })
		})
	})
}

// endsOf gives the end of a role in each repetition.
func (m *merger) endsOf(ci int, name string) (takes []take, kept string) {
	c := m.in.Cases[ci]
	for ri, r := range c.Runs {
		if !r.Counts {
			continue
		}
		for i := range r.Roles {
			if role := &r.Roles[i]; role.Name == name {
				one := end(r, role, &m.cases[ci].runs[ri].roles[i])
				takes = append(takes, take{fmt.Sprintf("rep %d", r.Rep), one})
				kept = role.Log
			}
		}
	}
	return takes, kept
}

func (m *merger) putEnd(ci int, class, name string, jc *junit.Case, kept string) error {
	c := m.in.Cases[ci]
	jc.Classname, jc.Name = class, name
	knownBug(c, jc)
	if jc.Status().Red() {
		m.cases[ci].addRed(name, jc)
	}
	m.b.cut.apply(jc, kept)
	return m.b.put(m.life, jc, "", 0, flagSynthetic)
}

// end is the case of one role's process in one attempt.
func end(r Run, role *Role, facts *roleFacts) *junit.Case {
	c := &junit.Case{Time: took(role.RoleRecord)}
	kind, message, note := howEnded(r, role, facts)
	f := r.Finding
	if message == "" && isCollateral(f, role.Name) && role.State == rundir.RoleEnded && role.Exit != 0 && role.StoppedBy == "" {
		message = exitWords(role.RoleRecord) // its red cases explain the exit, and GEN_0 explains them
	}
	if message == "" && isRoot(f, role.Name) && facts.red == 0 {
		kind, message = "ci-disagg."+orElse(f.Kind, "failed"), strings.TrimPrefix(f.Message, "["+role.Name+"] ")
	}
	switch {
	case message == "":
		if note != "" {
			c.SystemOut = []string{note}
		}
		return c
	case isCollateral(f, role.Name), jobsFault(r) && wentWithJob(role), notReached(r, role):
		message = "collateral of " + rootName(f) + ": " + message
		c.Results = []junit.Result{{Status: junit.Skipped, Type: "ci-disagg.collateral", Message: message, Text: f.Collateral[role.Name]}}
	default:
		c.Results = []junit.Result{{Status: junit.Errored, Type: kind, Message: message, Text: crashText(role, facts)}}
	}
	return c
}

// jobsFault reports whether the job as a whole, and no role, is to blame.
func jobsFault(r Run) bool {
	f := r.Finding
	return r.Outcome != rundir.OutcomePassed && f != nil && f.Root == "" && f.Kind != "" && f.Kind != "unattributed"
}

// notReached reports whether a role was never started because another had failed before its turn.
func notReached(r Run, role *Role) bool {
	return role.State == rundir.RoleNeverStarted && role.Error == "" && r.Finding != nil && r.Finding.Root != "" && !isRoot(r.Finding, role.Name)
}

// wentWithJob reports whether a role has no end of its own: it was stopped, went by the signals that end a job, could
// not be started, or was not seen to end or start at all.
func wentWithJob(role *Role) bool {
	switch {
	case role.State != rundir.RoleEnded:
		return role.State != "" // "": there is no record of any process
	case role.OOM:
		return false
	}
	sig := syscall.Signal(role.Signal)
	return role.StoppedBy != "" || role.Error != "" || sig == unix.SIGTERM || sig == unix.SIGKILL
}

// howEnded says what is wrong with the end of a role, "" if nothing is.
func howEnded(r Run, role *Role, facts *roleFacts) (kind, message, note string) {
	switch role.State {
	case "": // no record of the process: its files are all there is
		return fileKind(facts), fileMessages(facts), ""
	case rundir.RoleNeverStarted, rundir.RolePending:
		return "ci-disagg.never-started", strings.TrimSuffix("never started: "+role.Error, ": "), ""
	case rundir.RoleEnded:
	default:
		return "ci-disagg.no-end", "no end was recorded; it was last seen " + role.State, ""
	}
	how := exitWords(role.RoleRecord)
	stopped := role.StoppedBy != ""
	switch {
	case stopped && r.Outcome == rundir.OutcomePassed && !role.OOM:
		return "", "", "stopped by " + stopper(role) + " after the client was through: " + how
	case stopped && !role.OOM:
		return "ci-disagg.stopped", "stopped by " + stopper(role) + ": " + how, ""
	case role.Exit == 0 && !role.OOM:
		return fileKind(facts), fileMessages(facts), ""
	case role.Signal == 0 && role.Exit <= 5 && facts.red > 0 && len(facts.problems) == 0:
		return "", "", fmt.Sprintf("exit %d, explained by its %d red cases", role.Exit, facts.red)
	}
	message = how
	if files := fileMessages(facts); files != "" {
		message += "; " + files
	} else if facts.red == 0 && facts.cases > 0 {
		message += fmt.Sprintf("; results.xml is green with %d cases", facts.cases)
	}
	return "ci-disagg.role-crash", message, ""
}

func stopper(role *Role) string {
	if role.StoppedBy == "agent" {
		return "ci-disagg"
	}
	return role.StoppedBy
}

func fileKind(facts *roleFacts) string {
	if len(facts.problems) == 0 {
		return ""
	}
	return "ci-disagg.no-results"
}

func fileMessages(facts *roleFacts) string {
	var all []string
	for _, p := range facts.problems {
		all = append(all, p.message)
	}
	return strings.Join(all, "; ")
}

// exitWords says how a process ended: killed by SIGKILL (exit 137, OOM) on
// gb-n07 after 411.9 s.
func exitWords(r rundir.RoleRecord) string {
	var b strings.Builder
	sig := r.Signal
	if sig == 0 && r.Exit > 128 && r.Exit < 128+65 {
		sig = r.Exit - 128
	}
	switch {
	case sig > 0:
		name := unix.SignalName(syscall.Signal(sig))
		fmt.Fprintf(&b, "killed by %s (exit %d", orElse(name, fmt.Sprintf("signal %d", sig)), max(r.Exit, 128+sig))
		if r.OOM {
			b.WriteString(", OOM")
		}
		b.WriteString(")")
	case r.OOM:
		fmt.Fprintf(&b, "out of memory (exit %d)", r.Exit)
	default:
		fmt.Fprintf(&b, "exit %d%s", r.Exit, pytestWords(r.Exit))
	}
	if len(r.Nodes) > 0 {
		b.WriteString(" on " + strings.Join(r.Nodes, ","))
	}
	if t := took(r); t > 0 {
		fmt.Fprintf(&b, " after %.1f s", t.Seconds())
	}
	return b.String()
}

// pytestWords are pytest's meanings of its exit codes.
func pytestWords(exit int) string {
	switch exit {
	case 2:
		return " (interrupted)"
	case 3:
		return " (internal error, or os._exit)"
	case 4:
		return " (wrong usage)"
	case 5:
		return " (no tests collected)"
	default:
		return ""
	}
}

func took(r rundir.RoleRecord) time.Duration {
	if r.Started == nil || r.Ended == nil {
		return 0
	}
	return max(0, r.Ended.Sub(*r.Started))
}

// crashText is what explains a crash: the first line that looks like an error,
// and the end of the log.
func crashText(role *Role, facts *roleFacts) string {
	var b strings.Builder
	for _, p := range facts.problems {
		if p.text != "" {
			fmt.Fprintln(&b, p.text)
		}
	}
	if e := role.FirstError; e != nil {
		fmt.Fprintf(&b, "first error, %s:%d\n  %s\n", e.File, e.Number, e.Text)
	}
	appendTail(&b, role)
	return b.String()
}

// tailLines bounds what is shown of the end of a log.
const tailLines = 60

func appendTail(b *strings.Builder, role *Role) {
	if len(role.Tail) == 0 {
		return
	}
	fmt.Fprintf(b, "last lines of %s\n", orElse(role.Log, role.Name+"'s log"))
	for _, line := range role.Tail[max(0, len(role.Tail)-tailLines):] {
		fmt.Fprintf(b, "  %s\n", line)
	}
}

// jobEnd is the case of the job as a whole. There is one only when the job
// itself is to blame, or when nothing was started at all.
func (m *merger) jobEnd(c Case) (*junit.Case, bool) {
	if c.Skip != "" {
		return nil, false
	}
	if c.Error != "" {
		return jobCase("ci-disagg.not-run", c.Error), true
	}
	var takes []take
	for _, r := range c.Runs {
		if !r.Counts || r.Outcome == rundir.OutcomePassed || r.Outcome == "" && r.Finding == nil {
			continue
		}
		f := r.Finding
		switch {
		case f != nil && f.Root != "":
			continue
		case f != nil && f.Kind == "unattributed" && r.Outcome == rundir.OutcomeTestFailed:
			continue // everything that failed stays red where it is
		case f == nil && r.Outcome == rundir.OutcomeTestFailed:
			continue
		}
		message := orElse(r.Reason, string(r.Outcome))
		kind := string(r.Outcome)
		if f != nil {
			message, kind = orElse(f.Message, message), orElse(f.Kind, kind)
		}
		takes = append(takes, take{fmt.Sprintf("rep %d", r.Rep), jobCase("ci-disagg."+strings.ReplaceAll(kind, ":", "-"), message)})
	}
	if len(takes) == 0 {
		return nil, false
	}
	return foldWorst(takes), true
}

func jobCase(kind, message string) *junit.Case {
	return &junit.Case{Results: []junit.Result{{Status: junit.Errored, Type: kind, Message: message}}}
}

// addTimes widens the verdict and lifecycle suites by the attempts of a case.
func (m *merger) addTimes(c Case) {
	for _, r := range c.Runs {
		if r.Counts && r.Started != nil && r.Ended != nil {
			m.verdict.times.span(*r.Started, *r.Ended)
			m.life.times.span(*r.Started, *r.Ended)
		}
	}
}
