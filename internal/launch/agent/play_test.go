package agent

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// play feeds events, one per line of script, and returns what was to be done.
// A line is "<seconds> <event> [role] [argument]".
type player struct {
	t *testing.T
	s state
	// The records that helpers leave: what they told.
	seen []rundir.NodeEvent
}

func (p *player) feed(line string) string {
	p.t.Helper()
	f := strings.Fields(line)
	var at float64
	_, err := fmt.Sscan(f[0], &at)
	require.NoError(p.t, err)
	e := event{at: sec(at)}
	arg := func(i int) string {
		if i < len(f) {
			return f[i]
		}
		return ""
	}
	byName := func(name string) int {
		for i, r := range p.s.roles {
			if r.name == name {
				return i
			}
		}
		require.Fail(p.t, "no role "+name)
		return 0
	}
	switch f[1] {
	case "begin":
		e.kind = evBegin
	case "tick":
		e.kind = evTick
		if q := arg(2); q != "" {
			e.quiet, err = time.ParseDuration(q)
			require.NoError(p.t, err)
			e.served = p.s.since // the benchmark serves from its beginning
			if arg(3) == "unserved" {
				e.served = time.Time{}
			}
		}
	case "started", "ready", "notstarted":
		e.kind = map[string]eventKind{"started": evStarted, "ready": evReady, "notstarted": evNotStarted}[f[1]]
		e.role, e.text = byName(arg(2)), "no such file"
	case "ended", "ended+status", "badtask", "told":
		e.kind, e.role, e.drain = map[string]eventKind{"badtask": evBadTask, "told": evTold}[f[1]], byName(arg(2)), f[1] == "ended+status"
		if e.kind == evBegin {
			e.kind = evEnded
		}
		_, err := fmt.Sscan(arg(3), &e.end.Exit)
		require.NoError(p.t, err)
		e.skipped = arg(4) == "skipped"
	case "status": // [when it was written, else as late as can be told]
		wrote := at - statusDelay.Seconds()
		_, _ = fmt.Sscan(arg(2), &wrote)
		e.kind, p.s.word = evDrain, sec(wrote)
	case "seen": // ROLE WHAT [exit code or status] [looks] [busy]
		e.kind, e.role, e.quiet = evSeen, byName(arg(2)), time.Hour
		e.seen = rundir.NodeEvent{At: e.at, Role: arg(2), What: rundir.NodeWhat(arg(3)), Text: "time-out"}
		_, _ = fmt.Sscan(arg(4), &e.seen.Exit)
		e.seen.Signal, e.seen.Status = max(0, e.seen.Exit-128), e.seen.Exit
		_, _ = fmt.Sscan(arg(5), &e.seen.Looks)
		if arg(6) == "busy" { // it goes on writing
			e.quiet = 0
		}
		p.seen = append(p.seen, e.seen)
	case "notkilled":
		e.kind, e.role, e.text = evNotKilled, byName(arg(2)), "Slurm takes no signal"
	case "signal":
		e.kind, e.text = evSignal, arg(2)
	case "job":
		e.kind, e.job = evJob, blame.Job{State: arg(2)}
	case "broken":
		e.kind, e.text = evBroken, "no space left on device"
	case "collected":
		e.kind = evCollected
	case "probed", "busy":
		e.kind, e.quiet, e.dead = evProbed, time.Hour, f[2:]
		if f[1] == "busy" {
			e.dead, e.busy = nil, f[2:]
		}
	default:
		require.Fail(p.t, "no event "+f[1])
	}
	before := fmt.Sprintf("%+v", p.s)
	next1, todo := next(p.s, e)
	next2, again := next(p.s, e)
	require.Equal(p.t, before, fmt.Sprintf("%+v", p.s), "next changed the state that it was given")
	require.True(p.t, reflect.DeepEqual(next1, next2) && reflect.DeepEqual(todo, again), "next is not a function")
	p.s = next1
	var words []string
	for _, a := range todo {
		name := map[actionKind]string{doStart: "start", doWatch: "watch", doTerm: "TERM", doKill: "KILL", doAskJob: "ask", doProbe: "probe", doCollect: "collect", doFinish: "finish"}[a.kind]
		switch a.kind {
		case doAskJob, doProbe, doCollect, doFinish:
		default:
			name += " " + p.s.roles[a.role].name
		}
		words = append(words, name)
	}
	return strings.Join(words, ", ")
}

// play feeds a script; behind "->" stands what has to be done, behind "=" the phase.
func (p *player) play(script string) {
	p.t.Helper()
	for line := range strings.SplitSeq(script, "\n") {
		line, want, _ := strings.Cut(strings.TrimSpace(line), " -> ")
		switch {
		case line == "":
		case strings.HasPrefix(line, "= "):
			require.Equal(p.t, line[2:], string(p.s.phase))
		default:
			require.Equal(p.t, want, p.feed(line), "after %q: %+v", line, p.s.timeline)
		}
	}
}

// attempt is a script with what must come of it.
type attempt struct {
	name, script string
	edit         func(*state)
	outcome      rundir.Outcome
	root         string
	more         []string
}

// conclusions plays scripts, and says what comes of them.
func conclusions(t *testing.T, tests []attempt) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &player{t: t, s: testState(tt.edit)}
			p.play(tt.script)
			ev := p.s.evidence()
			ev.Classes, _ = blame.Compile(builtinRules(t))
			f, outcome, reason := conclude(p.s, ev)
			require.Equal(t, tt.outcome, outcome, reason)
			require.NotEmpty(t, reason)
			if tt.outcome == rundir.OutcomePassed {
				require.Nil(t, f)
				return
			}
			require.Equal(t, tt.root, f.Root, "%+v", f)
			if tt.more != nil {
				require.Equal(t, tt.more, f.Roots, "%+v", f)
			}
		})
	}
}
