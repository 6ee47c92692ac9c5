package blame

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// nearEnd is how many of a log's last lines may explain its end, a flood of the
// same line being one. What stands further up was survived.
const nearEnd = 1000

// maxHang bounds how a hang is told: since when each role is silent, and which key ended that, in full for a dozen.
const maxHang = 600

// cannotStart is the exit code of our own role.sh when the software under test
// could not be started at all.
const cannotStart = 78

// findingOn makes the finding about the root.
func (c *analysis) findingOn(e Event) Finding {
	f := Finding{Root: e.Role, Class: Unknown, Kind: kindOf(c, e)}
	rule, line, matched := c.explain(e)
	words, judged := verdict(c.ev, c.lines[e.Role], e, line)
	switch {
	case e.Planted:
		f.Class, f.Rule, f.Why = Test, "planted", "a role has put something else in the place of a file or directory of the run"
	case e.Kind == Storage:
		f.Class, f.Rule, f.Why = Infra, "run-directory", "the run directory could not be written"
	case e.Kind == NodeLost:
		f.Class, f.Rule, f.Why = Infra, "node-lost", "Slurm lost the node"
		f.BadNodes = c.nodesOf(e)
	case e.OOM:
		f.Class, f.Rule, f.Why = Test, "cgroup-oom", "the program asked for more memory than the job has; it would again"
	case notSetUp(e, c.lines[e.Role]) && (!matched || rule.Class != Infra):
		f.Class, f.Rule, f.Why, f.Line = Infra, "not-set-up", "what comes before the role's command failed (workload.setup, its directory, programs, secrets, addresses); nothing of it has run", line
		f.BadNodes = c.nodesOf(e)
	case judged && matched && rule.Class == Infra:
		f.Class, f.Rule, f.Why, f.Line = Test, ownTestFailed, "a test case of the role failed", words
	case e.Kind == Unkillable && (!matched || rule.Kind == "test.exception"): // that may be of what was torn from it
		f.Class, f.Rule, f.Why = Infra, KindUnkillable, "its processes hang in the kernel, or slurmstepd, which would end them, has gone"
		f.BadNodes = c.nodesOf(e)
	case matched && !rule.Weak && !lastWords(c.ev.Classes, e, rule, line):
		f.Class, f.Rule, f.Why = rule.Class, rule.Name, rule.Why
		f.Line = line
	case f.Kind == KindInstall || f.Kind == KindPrecheck:
		f.Class, f.Rule, f.Why = Infra, f.Kind, "it failed before the test began"
		f.BadNodes = c.nodesOf(e)
	default:
		c.byEnd(&f, e)
		if f.Class == Unknown && matched {
			f.Class, f.Rule, f.Why, f.Line = rule.Class, rule.Name, rule.Why, line
		}
	}
	if matched && rule.Node && f.Class == Infra && f.Rule == rule.Name {
		f.BadNodes = c.nodesOf(e)
	}
	if f.Line == nil {
		f.Line = c.lineToShow(e, f.Rule == killedFromOutside || f.Rule == endedFromOutside || f.Rule == KindUnkillable)
	}
	if foundWrong(c.ev.Events, e, f) != "" {
		f.Rule, f.Why, f.Line = ownTestFailed, "a test case of the role failed", nil
	}
	if f.Line != nil && f.Line.More != "" {
		whole := *f.Line
		whole.Text, whole.More = whole.Text+" "+whole.More, ""
		f.Line = &whole
	}
	f.Message = c.message(e, f)
	return f
}

// ownTestFailed is the rule of what a role's own test says.
const ownTestFailed = "own-test-failed"

// nothingProven is the rule of what no other one names.
const nothingProven = "nothing-proven"

// byEnd classifies by the way a role ended.
func (c *analysis) byEnd(f *Finding, e Event) {
	end, ended := c.ends[e.Role]
	end = normal(end)
	switch {
	case e.Kind == TestFailed:
		f.Class, f.Rule, f.Why = Test, ownTestFailed, "a test case of the role failed"
	case e.Outside:
		f.Class, f.Rule, f.Why = Infra, endedFromOutside, "somebody other than ci-disagg ended its step"
	case e.Inside == OwnTimeout:
		f.Class, f.Rule, f.Why = Test, "own-timeout", "timeout(1) in the role's own command killed it"
	case e.Inside == OwnTest:
		f.Rule, f.Why = nothingProven, "its test had waited in vain for it and may have killed it itself"
	case (e.Kind == RoleEnd || e.Kind == ServerGone) && e.Signal == 9 && !e.Forced:
		f.Class, f.Rule, f.Why = Infra, killedFromOutside, "SIGKILL that neither ci-disagg nor Slurm sent"
		f.BadNodes = c.nodesOf(e)
	case (e.Kind == RoleEnd || e.Kind == ServerGone) && rundir.Ending{Signal: e.Signal}.Crashed():
		f.Class, f.Rule, f.Why = Test, "crash-signal", "the program crashed"
	case (e.Kind == RoleEnd || e.Kind == ServerGone) && (e.Signal == 24 || e.Signal == 25): // SIGXCPU, SIGXFSZ
		f.Class, f.Rule, f.Why = Test, "resource-limit", "it went over a limit that its shell had set (ulimit); it would again"
	case e.Kind == ServerSick:
		f.Rule, f.Why = "server-unhealthy", "its server lives and does not do its work"
	case e.Kind == NeverStarted:
		f.Class, f.Rule, f.Why = Infra, "never-started", "nothing of the software under test has run"
	case e.Kind == RoleEnd && c.hasTestFailure(e.Role):
		f.Class, f.Rule, f.Why = Test, ownTestFailed, "a test case of the role failed"
	case e.Kind == RoleEnd && (e.Exit == 126 || e.Exit == 127):
		f.Class, f.Rule, f.Why = Test, "not-executable", "the command does not exist or cannot be run"
	case e.Kind == NoResult && ended && !end.ByUs && end.Exit == 0:
		f.Rule, f.Why = "no-result", "it ended with 0 and left no usable results.xml"
	case e.Kind == RoleEnd && e.Exit == 0 && e.Signal == 0, e.Kind == NotReady && e.Lacks != "": // says enough
		f.Rule = nothingProven
	default:
		f.Rule, f.Why = nothingProven, "no rule explains it: read its log, and give a line that names the cause to classes: in ci-disagg.yaml"
	}
}

// notSetUp reports whether our own role.sh gave up before the role's command, and said so: the exit code alone is any
// program's.
func notSetUp(e Event, lines []Line) bool {
	return e.Kind == RoleEnd && e.Exit == cannotStart && slices.ContainsFunc(lines, func(l Line) bool { return GivesUp(l.Text) })
}

// GivesUp reports whether a line is of our own scripts, which speak only to give up.
func GivesUp(line string) bool { return strings.HasPrefix(line, "ci-disagg: ") }

func (c *analysis) hasTestFailure(role string) bool {
	return slices.ContainsFunc(c.ev.Events, func(e Event) bool { return e.Role == role && e.Kind == TestFailed })
}

func kindOf(c *analysis, e Event) string {
	if e.Planted {
		return KindPlanted
	}
	switch e.Kind {
	case RoleEnd:
		switch {
		case c.roles[e.Role].Kind == rundir.KindPrecheck:
			return KindPrecheck
		case c.roles[e.Role].Kind == rundir.KindInstall:
			return KindInstall
		case e.Exit == 0:
			return KindEarlyExit
		case c.hasTestFailure(e.Role):
			return KindTestFailed
		}
		return KindCrash
	case TestFailed:
		return KindTestFailed
	case NotReady:
		return KindReadyTimeout
	case Hang:
		return KindHang
	case NeverStarted:
		return KindNeverStarted
	case InstallFail:
		return KindInstall
	case NoResult:
		return KindNoResult
	case NoStatus:
		return KindEarlyExit
	case Storage:
		return KindStorage
	case Unkillable:
		return KindUnkillable
	case NodeLost:
		return KindNodeFail
	case ServerGone:
		return KindServerDied
	case ServerSick:
		return KindServerSick
	default:
		return KindUnattributed
	}
}

// explain finds the failure class of an event: the one that stands first in the
// list of classes and matches the event's own text or a line near the end of
// the role's log.
func (c *analysis) explain(e Event) (Rule, *Line, bool) {
	var best Rule
	var at *Line
	found := len(c.ev.Classes.rules)
	ends := decisions(c.ev.Classes, c.lines[e.Role], e)
	try := func(l Line, line *Line) {
		if i := c.ev.Classes.match(l.Text); i >= 0 && i < found && !survived(l, c.ev.Classes.rules[i].Rule, ends) {
			found, best, at = i, c.ev.Classes.rules[i].Rule, line
		}
	}
	if first, more, _ := strings.Cut(e.Text, "\n"); e.Text != "" && e.Kind != PhaseTimeout {
		try(Line{Text: first, Died: true}, nil)
		try(Line{Text: more}, nil)
	}
	lines := c.lines[e.Role]
	for i := range lines {
		if lines[i].Behind < nearEnd {
			try(lines[i], &lines[i])
		}
	}
	return best, exceptionOf(best, at, c.lines, ends), found < len(c.ev.Classes.rules)
}

// nodesOf are the nodes to suspect: the one known, else the role's slice.
func (c *analysis) nodesOf(e Event) []string {
	if e.Node != "" {
		return []string{e.Node}
	}
	return slices.Clone(c.roles[e.Role].Nodes)
}

// PeerLine reports whether a line tells that another process has gone.
func PeerLine(line string) bool {
	f := peerFilter()
	return f.may(line) && !Quoted(line) && peerPattern().MatchString(line) && !download.MatchString(line)
}

// download is what curl says of a server that is nobody's here.
var download = regexp.MustCompile(`curl: .*(?:port 443\b|Resolving timed out)`)

//nolint:gochecknoglobals // compiled once, immutable
var peerPattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)connection (?:refused|reset|aborted|closed)|curl: \((?:7|18|28|52|56)\)|ConnectionRefusedError|ConnectionResetError|reset by peer|broken pipe|` +
		`connect call failed|ClientConnectorError|ClientOSError|ServerDisconnected|RemoteDisconnected|RemoteProtocolError|IncompleteRead|` +
		`(?:peer|server) (?:closed|has gone|disconnected)|terminating connection due|empty reply from server|(?:unexpected|connection) EOF|server has gone away|transport endpoint is not connected|socket closed|bytes read on a total of|remote (?:end|process|peer) (?:closed|exited|has)|ncclRemoteError|remote process exited|` +
		`endpoint (?:is )?(?:unreachable|timeout)|(?:HTTP|status|error|code)\W{0,4}50[0234]\b|bad gateway|service unavailable|gateway timeout|` +
		`cannot connect to host|upstream .{0,40}(?:refused|unreachable)|requests failed`)
})

//nolint:gochecknoglobals // built once, immutable
var peerFilter = sync.OnceValue(func() *prefilter {
	f := &prefilter{}
	f.add(peerPattern())
	return f
})

// peerLine is a line with which a role says that somebody else has gone: of the
// client any, of the others the first thing that they complain about. A server
// whose log also has a cause of its own has no need of others, and what a role
// says about its own server is no complaint about somebody else.
func (c *analysis) peerLine(role string) (Line, bool) {
	for _, l := range c.lines[role] {
		peer := PeerLine(l.Text)
		switch {
		case c.isClient(role):
			if peer {
				return l, true
			}
		case !l.First:
		case peer && l.Server && c.ownCause(role):
			return Line{}, false
		case peer:
			return l, true
		case !wrapper().MatchString(l.Text):
			return Line{}, false
		}
	}
	return Line{}, false
}

// ownCause reports whether a server's log has a line that explains its end and is
// neither a complaint about others nor an exception, which any complaint may be.
func (c *analysis) ownCause(role string) bool {
	for _, l := range c.lines[role] {
		if !l.Server || l.Behind >= nearEnd || PeerLine(l.Text) {
			continue
		}
		if r, ok := c.ev.Classes.Match(l.Text); ok && !r.Weak && r.Class == Test && r.Kind != "test.exception" {
			return true
		}
	}
	return false
}

// wrapper recognises what a role says when its own server has ended.
//
//nolint:gochecknoglobals // compiled once, immutable
var wrapper = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\bserver\b.{0,60}\b(?:ended|died|exited|terminated|stopped|has gone)\b|CalledProcessError|returned non-zero exit status`)
})

// missed is the role whose address a failing role names when it says that
// somebody has gone, with the line in which it does.
func (c *analysis) missed(observer string) (string, Line, bool) {
	for _, l := range c.lines[observer] {
		if !PeerLine(l.Text) {
			continue
		}
		for _, r := range c.ev.Roles {
			if r.Name != observer && r.Address != "" && names(l.Text, r.Address) {
				return r.Name, l, true
			}
		}
	}
	return "", Line{}, false
}

// names reports whether a text speaks of host:port, in whatever form: ports are handed
// out by the kernel, so the number alone tells servers apart. It must stand alone.
func names(text, address string) bool {
	port := address[strings.LastIndexByte(address, ':')+1:]
	if len(port) < 3 || len(port) == len(address) {
		return false
	}
	digit := func(i int) bool { return i >= 0 && i < len(text) && text[i] >= '0' && text[i] <= '9' }
	for from := 0; ; {
		i := strings.Index(text[from:], port)
		if i < 0 {
			return false
		}
		i += from
		if !digit(i-1) && !digit(i+len(port)) {
			return true
		}
		from = i + 1
	}
}

// others sorts every failure beside the root: collateral with its evidence, or
// a root of its own.
func (c *analysis) others(f *Finding, root Event) {
	collateral := map[string]string{}
	seen := map[string]bool{root.Role: true}
	for _, e := range c.fatal {
		if seen[e.Role] && !e.Assert || e.Role == root.Role {
			continue
		}
		if words, ok := c.collateral(e, root); ok {
			if !seen[e.Role] {
				collateral[e.Role] = words
			}
		} else if !slices.Contains(f.MoreRoots, e.Role) && e.Role != "" {
			f.MoreRoots = append(f.MoreRoots, e.Role)
			delete(collateral, e.Role)
		}
		seen[e.Role] = true
	}
	for role, e := range c.ends {
		if e.ByUs && role != root.Role && !slices.Contains(f.MoreRoots, role) && collateral[role] == "" {
			collateral[role] = stopWords(normal(e))
		}
	}
	if len(collateral) > 0 {
		f.Collateral = collateral
	}
	f.Message += likewise(f.MoreRoots, c.fatal, root)
}

// collateral reports whether a failure is proven to come from the root's, and how.
func (c *analysis) collateral(e, root Event) (string, bool) {
	if e.Assert || e.OOM || e.Kind == Storage || e.Kind == NeverStarted || setUpFailed(e, c.ends, c.lines) || root.Role == "" && root.Kind == Storage {
		return "", false // nobody else is the reason
	}
	later := !e.At.IsZero() && !root.At.IsZero() && !e.At.Before(root.At)
	near := !e.At.IsZero() && !root.At.IsZero() && root.At.Sub(e.At).Abs() <= c.ev.Skew
	if together(e, root) {
		return c.waited(e, root)
	}
	if e.Kind == ServerSick { // it lives: a witness, not another failure
		return what(e), true
	}
	if killedAlike(e, root, c.ev.Skew) {
		return "", false
	}
	if end, ok := c.ends[e.Role]; ok && goneWith(e, end, root) {
		return stopWords(normal(end)), true
	}
	if l, ok := c.peerLine(e.Role); ok && (root.Kind == NodeLost || root.Kind == Unkillable || closeTo(e, root, later || near)) {
		return peerWords(e, root, l.Text), true
	}
	witnessed := near && (root.Kind == ServerGone || root.Kind == ServerSick) // seen a moment after it happened
	if (later || witnessed) && c.isClient(e.Role) && !c.isClient(root.Role) && (e.Kind == RoleEnd || e.Kind == TestFailed) {
		return fmt.Sprintf("%s %s", what(e), offset(e, root)), true
	}
	return "", false
}

// waited: of several that missed one deadline, or are silent, none was the first. Only who serves
// by passing on to others had to wait for them.
func (c *analysis) waited(e, root Event) (string, bool) {
	if c.roles[e.Role].Kind != rundir.KindRouter || c.roles[root.Role].Kind == rundir.KindRouter {
		return "", false
	}
	if e.Kind == Hang {
		return "silent, as it waits for " + root.Role, true
	}
	return "not ready either, as it waits for " + root.Role, true
}

func stopWords(e Event) string {
	if e.Outside {
		return endWords(e) + ", its step likewise"
	}
	if e.Stopped.IsZero() {
		return "stopped when the job was ended: " + endWords(e)
	}
	return fmt.Sprintf("stopped by ci-disagg, %s %.1f s later", endWords(e), max(0, e.At.Sub(e.Stopped).Seconds()))
}

// message is the finding in one line.
func (c *analysis) message(e Event, f Finding) string {
	var b strings.Builder
	if e.Role != "" {
		fmt.Fprintf(&b, "[%s] ", e.Role)
	}
	b.WriteString(what(e))
	switch {
	case e.Node != "":
		b.WriteString(" on " + e.Node)
	case len(c.roles[e.Role].Nodes) == 1:
		b.WriteString(" on " + c.roles[e.Role].Nodes[0])
	}
	if r := c.roles[e.Role]; !r.Started.IsZero() && !e.At.IsZero() && e.Kind == RoleEnd {
		fmt.Fprintf(&b, " after %.1f s", e.At.Sub(r.Started).Seconds())
	}
	if words := foundWrong(c.ev.Events, e, f); words != "" {
		b.WriteString(lead(": ", words))
	} else if f.Line != nil && f.Line.Text != "" && !f.Line.Last {
		b.WriteString(": " + oneLine(f.Line.Text, 200))
	} else if f.Why != "" && (e.Kind != Hang || f.Class != Unknown) { // which says enough, and a console has little room
		b.WriteString("; " + f.Why)
	}
	return b.String()
}

// what is an event in words.
func what(e Event) string {
	switch e.Kind {
	case RoleEnd:
		if e.Drained {
			return endWords(e) + " after the client was through"
		}
		if e.Exit == 0 && !e.Expected {
			return "exit 0 before the client was through"
		}
		return endWords(e)
	case TestFailed:
		return "test failed" + lead(": ", e.Text)
	case NotReady:
		return "not ready" + lead(" within ", e.Text) + lead(": ", e.Lacks)
	case Hang:
		return "hangs: " + oneLine(e.Text, maxHang)
	case NeverStarted:
		return "could not be started" + lead(": ", e.Text)
	case InstallFail:
		return "install failed" + lead(": ", e.Text)
	case NoResult:
		return "no usable results.xml" + lead(": ", e.Text)
	case Storage:
		return "the run directory cannot be written" + lead(": ", e.Text)
	case Unkillable:
		return "did not end after SIGKILL"
	case NoStatus:
		return "ended with 0 but left no " + e.Text
	case NodeLost:
		return "its node failed"
	case ServerGone:
		return serverWords(e)
	case ServerSick:
		return "its server answers its health check with " + e.Text
	default:
		return string(e.Kind) + lead(": ", e.Text)
	}
}

// serverWords is how a server went that died while its role lived on.
func serverWords(e Event) string {
	words := "its server went while it was serving"
	switch {
	case e.Signal != 0:
		words = "its server was killed by " + rundir.SignalName(e.Signal) + " while it was serving"
	case e.Exit != 0:
		words = fmt.Sprintf("its server ended with exit %d while it was serving", e.Exit)
	}
	return words + lead(": ", e.Text)
}

func lead(sep, s string) string {
	if s == "" {
		return ""
	}
	return sep + oneLine(s, 200)
}

// oneLine is the first line of a text, clipped.
func oneLine(s string, limit int) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return rundir.Clip(s, limit)
}

func endWords(e Event) string {
	return rundir.Ending{Exit: e.Exit, Signal: e.Signal, OOM: e.OOM, Task: e.Task}.String()
}
