package report

import (
	"cmp"
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// typePrefix begins the type of every result that is ours.
const typePrefix = "ci-disagg."

// lifecycle makes one case per role process: did it end as it should? It is red when
// its end is not explained by red cases of its own.
func (s *settled) lifecycle() []Check {
	var out []Check
	for i, r := range s.Roles {
		out = append(out, Check{Case: s.end(r, s.facts[i]), Kept: r.Log})
	}
	return out
}

// end is the case of one role's process.
func (s *settled) end(role Role, facts roleFacts) junit.Case {
	c := junit.Case{Name: role.Name, Time: took(role.Started, role.Ended)}
	kind, message, note := s.howEnded(role, facts)
	f := s.finding
	if message == "" && isCollateral(f, role.Name) && role.State == rundir.RoleEnded && role.Exit != 0 && role.StoppedBy == "" {
		message = exitWords(role.RoleRecord) // its red cases explain the exit, and the root explains them
	}
	if message == "" && isRoot(f, role.Name) && facts.red == 0 {
		kind, message = typePrefix+cmp.Or(f.Kind, "failed"), strings.TrimPrefix(f.Message, "["+role.Name+"] ")
	}
	switch {
	case message == "":
		if note != "" {
			c.SystemOut = []string{note}
		}
	case isCollateral(f, role.Name), s.jobsFault() && wentWithJob(role), s.notReached(role):
		c.Results = []junit.Result{{Status: junit.Skipped, Type: typeCollateral, Message: "collateral of " + rootOf(f) + ": " + message, Text: f.Collateral[role.Name]}}
	default:
		c.Results = []junit.Result{{Status: junit.Errored, Type: kind, Message: message, Text: crashText(role, facts)}}
	}
	return c
}

// jobsFault reports whether the job as a whole, and no role, is to blame.
func (s *settled) jobsFault() bool {
	f := s.finding
	return s.outcome != rundir.OutcomePassed && f != nil && f.Root == "" && f.Kind != "" && !unattributed(f)
}

// notReached reports whether a role was never started because another had failed
// before its turn.
func (s *settled) notReached(role Role) bool {
	f := s.finding
	return role.State == rundir.RoleNeverStarted && role.Error == "" && f != nil && f.Root != "" && !isRoot(f, role.Name)
}

// wentWithJob reports whether a role has no end of its own: it was stopped, went by
// the signals that end a job, could not be started, or was not seen to end or start at
// all.
func wentWithJob(role Role) bool {
	switch {
	case role.State != rundir.RoleEnded:
		return role.State != "" // "": there is no record of any process
	case role.OOM:
		return false
	}
	sig := syscall.Signal(role.Signal)
	return role.StoppedBy != "" || role.Error != "" || sig == unix.SIGTERM || sig == unix.SIGKILL
}

// howEnded tells what is wrong with the end of a role, "" if nothing is.
func (s *settled) howEnded(role Role, facts roleFacts) (kind, message, note string) {
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
	case stopped && s.outcome == rundir.OutcomePassed && !role.OOM:
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

func stopper(role Role) string {
	if role.StoppedBy == "agent" {
		return "ci-disagg"
	}
	return role.StoppedBy
}

func fileKind(facts roleFacts) string {
	if len(facts.problems) == 0 {
		return ""
	}
	return "ci-disagg.no-results"
}

func fileMessages(facts roleFacts) string {
	var all []string
	for _, p := range facts.problems {
		all = append(all, p.Message)
	}
	return strings.Join(all, "; ")
}

// exitWords says how a process ended: killed by SIGKILL (exit 137, OOM) on gb-n07
// after 411.9 s.
func exitWords(r rundir.RoleRecord) string {
	var b strings.Builder
	sig := r.Signal
	if sig == 0 && r.Exit > 128 && r.Exit < 128+65 {
		sig = r.Exit - 128
	}
	switch {
	case sig > 0:
		name := unix.SignalName(syscall.Signal(sig))
		fmt.Fprintf(&b, "killed by %s (exit %d", cmp.Or(name, fmt.Sprintf("signal %d", sig)), max(r.Exit, 128+sig))
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
	if t := took(r.Started, r.Ended); t > 0 {
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

// crashText is what explains a crash: the first line that looks like an error, and the
// end of the log.
func crashText(role Role, facts roleFacts) string {
	var b strings.Builder
	for _, p := range facts.problems {
		if p.Text != "" {
			fmt.Fprintln(&b, p.Text)
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

func appendTail(b *strings.Builder, role Role) {
	if len(role.Tail) == 0 {
		return
	}
	fmt.Fprintf(b, "last lines of %s\n", cmp.Or(role.Log, role.Name+"'s log"))
	for _, line := range role.Tail[max(0, len(role.Tail)-tailLines):] {
		fmt.Fprintf(b, "  %s\n", line)
	}
}

// jobEnd is the case of the job as a whole. There is one only when the job itself is
// to blame, or when nothing was started at all.
func (d *decider) jobEnd() (junit.Case, bool) {
	switch {
	case d.end.Listed:
		return junit.Case{}, false
	case len(d.attempts) == 0:
		return jobCase("ci-disagg.not-run", d.out.Message), true
	}
	var takes []take
	for _, s := range d.attempts {
		f := s.finding
		switch {
		case !s.Counts, s.outcome == rundir.OutcomePassed, s.outcome == "" && f == nil, f != nil && f.Root != "":
			continue
		case s.outcome == rundir.OutcomeTestFailed && (f == nil || unattributed(f)):
			continue // everything that failed stays red where it is
		}
		message, kind := cmp.Or(s.reason, string(s.outcome)), string(s.outcome)
		if f != nil {
			message, kind = cmp.Or(f.Message, message), cmp.Or(f.Kind, kind)
		}
		c := jobCase(typePrefix+strings.ReplaceAll(kind, ":", "-"), message)
		takes = append(takes, take{fmt.Sprintf("rep %d", s.Rep), &c})
	}
	if len(takes) == 0 {
		return junit.Case{}, false
	}
	return *foldWorst(takes), true
}

func jobCase(kind, message string) junit.Case {
	return junit.Case{Name: jobName, Results: []junit.Result{{Status: junit.Errored, Type: kind, Message: message}}}
}
