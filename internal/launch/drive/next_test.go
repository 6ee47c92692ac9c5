package drive

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/launch/retry"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/launch/submit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// player feeds events to next and keeps it honest: it changes no state that it was given, and is a function.
type player struct {
	t *testing.T
	s state
}

func newPlayer(t *testing.T, cases int, edit func(*Options)) *player {
	t.Helper()
	o := simOptions(t, newSim(), rundir.Dir("/runs/x"), cases)
	if edit != nil {
		edit(&o)
	}
	require.NoError(t, o.complete())
	return &player{t: t, s: newState(o, o.Run, o.Plans)}
}

func (p *player) feed(e event) []action {
	p.t.Helper()
	before := fmt.Sprintf("%+v", p.s)
	next1, todo := next(p.s, e)
	next2, again := next(p.s, e)
	require.Equal(p.t, before, fmt.Sprintf("%+v", p.s), "next changed the state that it was given")
	require.True(p.t, reflect.DeepEqual(next1, next2) && reflect.DeepEqual(todo, again), "next is not a function")
	p.s = next1
	return todo
}

// after is a time of a script.
func after(seconds float64) time.Time {
	return time.Unix(1e9, 0).Add(time.Duration(seconds * float64(time.Second)))
}

// words of the actions, without those that only tell.
func deeds(todo []action) string {
	var out []string
	names := map[actionKind]string{
		doSave: "save", doSubmit: "submit", doSearch: "search", doQueue: "queue", doAsk: "ask", doRead: "read", doCancel: "cancel",
		doNote: "note", doClose: "close", doDecide: "decide", doAbandon: "abandon",
	}
	for _, a := range todo {
		if name := names[a.kind]; name != "" {
			out = append(out, name)
		}
	}
	return strings.Join(out, " ")
}

func TestNext(t *testing.T) {
	t.Parallel()
	first := key{cas: 0, rep: 0, number: 1}
	job := func(id string) submit.Submitted {
		return submit.Submitted{Job: rundir.Job{Schema: 1, Name: "n", ID: id, Backend: rundir.BackendSlurm}}
	}
	for name, steps := range map[string][]struct {
		e    event
		want string
	}{
		"nothing is submitted that is not on disk": {
			{event{kind: evBegin, at: after(0), found: make([]found, 1)}, "save"},
			{event{kind: evSaved, at: after(0), err: errors.New("away")}, ""},
			{event{kind: evTick, at: after(4)}, ""},
			{event{kind: evTick, at: after(6)}, "save"},
			{event{kind: evSaved, at: after(6)}, "submit"},
		},
		"an interruption writes down what the abort has cancelled": {
			{event{kind: evBegin, at: after(0), found: make([]found, 1)}, "save"},
			{event{kind: evSaved, at: after(0)}, "submit"},
			{event{kind: evSubmitted, at: after(1), of: first, submitted: job("7")}, ""},
			{event{kind: evInterrupted, at: after(2), err: &Interrupted{Signal: syscall.SIGTERM}}, "note save"},
			{event{kind: evSaved, at: after(2)}, ""},
			{event{kind: evTick, at: after(3.5)}, "read queue"},
			{event{kind: evTick, at: after(33)}, "cancel note"}, // a scancel can get lost
		},
		"what comes back after an interruption is cancelled": {
			{event{kind: evBegin, at: after(0), found: make([]found, 1)}, "save"},
			{event{kind: evSaved, at: after(0)}, "submit"},
			{event{kind: evInterrupted, at: after(2), err: &Interrupted{Signal: syscall.SIGTERM}}, "save"},
			{event{kind: evSaved, at: after(2)}, ""},
			{event{kind: evSubmitted, at: after(3), of: first, submitted: job("7")}, "cancel note queue"},
		},
		"a withdrawn submission is due again": {
			{event{kind: evBegin, at: after(0), found: make([]found, 1)}, "save"},
			{event{kind: evSaved, at: after(0)}, "submit"},
			{event{kind: evSubmitted, at: after(1), of: first, submitted: job(""), err: errTooLate}, "save"},
			{event{kind: evSaved, at: after(1)}, "submit"},
		},
		"another driver's jobs are left alone": {
			{event{kind: evBegin, at: after(0), found: make([]found, 1)}, "save"},
			{event{kind: evSaved, at: after(0)}, "submit"},
			{event{kind: evSubmitted, at: after(1), of: first, submitted: job("7")}, ""},
			{event{kind: evBroken, at: after(2), err: lease.ErrLost}, ""},
			{event{kind: evTick, at: after(3)}, ""},
		},
		"jobs that nobody can write down any more are ended": {
			{event{kind: evBegin, at: after(0), found: make([]found, 1)}, "save"},
			{event{kind: evSaved, at: after(0)}, "submit"},
			{event{kind: evSubmitted, at: after(1), of: first, submitted: job("7")}, ""},
			{event{kind: evBroken, at: after(2), err: errors.New("disk")}, "abandon"},
		},
		"a lost answer is looked for, and submitted again only when nothing is there": {
			{event{kind: evBegin, at: after(0), found: make([]found, 1)}, "save"},
			{event{kind: evSaved, at: after(0)}, "submit"},
			{event{kind: evSubmitted, at: after(1), of: first, submitted: job(""), err: &slurm.AmbiguousError{Err: errors.New("x")}}, ""},
			{event{kind: evTick, at: after(10)}, ""},
			{event{kind: evTick, at: after(16)}, "search"},
			{event{kind: evSearched, at: after(17), of: first}, ""}, // whatever was started may still make a job
			{event{kind: evTick, at: after(22)}, "search"},
			{event{kind: evSearched, at: after(23), of: first, search: runs.Search{Over: true}}, ""},
			{event{kind: evTick, at: after(34)}, "save"},
			{event{kind: evSaved, at: after(34)}, "submit"},
		},
		"a job is looked for as long as squeue is silent, and then by sacct": {
			{event{kind: evBegin, at: after(0), found: make([]found, 1)}, "save"},
			{event{kind: evSaved, at: after(0)}, "submit"},
			{event{kind: evSubmitted, at: after(1), of: first, submitted: job(""), err: &slurm.AmbiguousError{Err: errors.New("x")}}, ""},
			{event{kind: evTick, at: after(20)}, "search"},
			{event{kind: evSearched, at: after(20), of: first, search: runs.Search{Over: true, Blind: true}, err: errors.New("squeue")}, ""},
			{event{kind: evTick, at: after(1000)}, "search"},
			{event{kind: evSearched, at: after(1000), of: first, search: runs.Search{Over: true, Blind: true}, err: errors.New("squeue")}, ""},
			{event{kind: evTick, at: after(1020)}, ""},
			{event{kind: evTick, at: after(1030)}, "search"},
			{event{kind: evSearched, at: after(1030), of: first, search: runs.Search{Over: true}, err: errors.New("sacct")}, ""},
			{event{kind: evTick, at: after(1035)}, "search"},
			{event{kind: evSearched, at: after(1600), of: first, search: runs.Search{Over: true}, err: errors.New("sacct")}, "search"},
			{event{kind: evSearched, at: after(1640), of: first, search: runs.Search{Over: true, Blind: true}, err: errors.New("squeue")}, "search"},
			{event{kind: evSearched, at: after(1650), of: first, search: runs.Search{Over: true}, err: errors.New("sacct")}, "cancel close"},
		},
		"what an unreadable record says of a lost submission is not tried again": {
			{event{kind: evBegin, at: after(0), found: make([]found, 1)}, "save"},
			{event{kind: evSaved, at: after(0)}, "submit"},
			{event{kind: evSubmitted, at: after(1), of: first, submitted: job(""), err: &slurm.AmbiguousError{Err: errors.New("x")}}, ""},
			{event{kind: evTick, at: after(20)}, "search"},
			{event{kind: evSearched, at: after(20), of: first, search: runs.Search{Over: true, Ran: true}}, "close"},
		},
		"an interruption writes down that it ended a lost submission": {
			{event{kind: evBegin, at: after(0), found: make([]found, 1)}, "save"},
			{event{kind: evSaved, at: after(0)}, "submit"},
			{event{kind: evSubmitted, at: after(1), of: first, submitted: job(""), err: &slurm.AmbiguousError{Err: errors.New("x")}}, ""},
			{event{kind: evTick, at: after(20)}, "search"},
			{event{kind: evInterrupted, at: after(21), err: &Interrupted{Signal: syscall.SIGTERM}}, "note save"},
			{event{kind: evSaved, at: after(21)}, ""},
			{event{kind: evSearched, at: after(25), of: first, search: runs.Search{Over: true}}, "close"},
			{event{kind: evClosed, at: after(25), of: first, outcome: rundir.AttemptOutcome{Outcome: rundir.OutcomeCancelled}}, "save"},
		},
		"an answer of yesterday means nothing": {
			{event{kind: evBegin, at: after(0), found: make([]found, 1)}, "save"},
			{event{kind: evSubmitted, at: after(0), of: first, submitted: job("7")}, ""},
			{event{kind: evSaved, at: after(0)}, "submit"},
			{event{kind: evSubmitted, at: after(1), of: key{number: 2}, submitted: job("8")}, ""},
			{event{kind: evClosed, at: after(1), of: first}, ""},
			{event{kind: evDecided, at: after(1), of: first, decision: retry.Decision{Action: retry.Again}}, ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlayer(t, 1, nil)
			for i, s := range steps {
				require.Equal(t, s.want, deeds(p.feed(s.e)), "step %d", i)
			}
		})
	}
}

// A detached run leaves a lost submission to resume, once squeue has been silent for long, but not where the job is to
// end.
func TestDetachedLeavesALostSubmission(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ cancelled, sacctFirst bool }{{}, {cancelled: true}, {sacctFirst: true}} {
		cancelled := c.cancelled
		told, p := "", newPlayer(t, 1, func(o *Options) { o.Detach = true })
		lost := event{kind: evSearched, of: key{number: 1}, search: runs.Search{Over: true, Blind: true}, err: errors.New("squeue")}
		p.feed(event{kind: evBegin, at: after(0), found: make([]found, 1)})
		p.feed(event{kind: evSaved, at: after(0)})
		p.feed(event{kind: evSubmitted, at: after(1), of: key{number: 1}, submitted: submit.Submitted{}, err: &slurm.AmbiguousError{Err: errors.New("x")}})
		for _, s := range []float64{20, 50, 500, 700} {
			require.False(t, p.s.over)
			p.feed(event{kind: evTick, at: after(s)})
			if cancelled {
				p.feed(event{kind: evRequested, at: after(s), text: "enough"})
			}
			lost.at, lost.search.Blind = after(s), !c.sacctFirst || s > 20
			for _, a := range p.feed(lost) {
				if a.kind == doTell && a.update.Kind == Warning {
					told = a.update.Text
				}
			}
		}
		require.Equal(t, !cancelled, strings.Contains(told, "resume looks on"), told)
		require.Equal(t, cancelled, strings.Contains(told, "looking on for up to 24h"), told)
		require.Equal(t, !cancelled, p.s.over)
		require.Equal(t, 1, p.s.liveCount())
	}
}

// A driver that is told to stop between the end of an attempt and what follows leaves the case open: resume asks the
// policy.
func TestInterruptedBeforeWhatFollows(t *testing.T) {
	t.Parallel()
	first := key{rep: 0, number: 1}
	passed := rundir.AttemptOutcome{Outcome: rundir.OutcomePassed}
	stop := event{kind: evInterrupted, at: after(3), err: &Interrupted{Signal: syscall.SIGTERM}}
	decided := func(a retry.Action) event {
		return event{kind: evDecided, at: after(4), of: first, outcome: passed, decision: retry.Decision{Action: a}}
	}
	for name, tt := range map[string]struct {
		then []event
		want string
	}{
		"before the policy was asked":      {[]event{stop, {kind: evClosed, at: after(4), of: first, outcome: passed}}, rundir.CaseRunning},
		"while it was asked: a repetition": {[]event{{kind: evClosed, at: after(2), of: first, outcome: passed}, stop, decided(retry.Repeat)}, rundir.CaseRunning},
		"while it was asked: a retry":      {[]event{{kind: evClosed, at: after(2), of: first, outcome: passed}, stop, decided(retry.Again)}, rundir.CaseRunning},
		"while it was asked: nothing":      {[]event{{kind: evClosed, at: after(2), of: first, outcome: passed}, stop, decided(retry.Done)}, rundir.CaseDone},
		"it was due":                       {[]event{{kind: evClosed, at: after(2), of: first, outcome: passed}, decided(retry.Repeat), stop}, rundir.CaseRunning},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlayer(t, 1, nil)
			p.feed(event{kind: evBegin, at: after(0), found: make([]found, 1)})
			p.feed(event{kind: evSaved, at: after(0)})
			p.feed(event{kind: evSubmitted, at: after(1), of: first, submitted: submit.Submitted{Job: rundir.Job{Schema: 1, Name: "n", ID: "7", Backend: rundir.BackendSlurm}}})
			p.s.cases[0].stage = stageClosing
			var todo []action
			for _, e := range tt.then {
				e.of.id = ""
				todo = append(todo, p.feed(e)...)
			}
			require.Equal(t, tt.want, p.s.newRecord().Cases[0].State)
			for _, a := range todo {
				if a.kind == doTell && a.update.Kind == EndedNow {
					require.Equal(t, rundir.OutcomePassed, a.update.Outcome)
				}
			}
			// What the next driver finds.
			run, again := p.s.newRecord(), newPlayer(t, 1, nil)
			if tt.want != rundir.CaseRunning {
				return
			}
			again.s.run, again.s.cases[0].record = run, run.Cases[0]
			require.Contains(t, deeds(again.feed(event{kind: evBegin, at: after(0), found: []found{{job: &rundir.Job{Name: "n", ID: "7"}, outcome: &passed}}})), "decide")
		})
	}
}

// Whatever comes in whatever order, no attempt has two jobs that nobody looks for, and the state stays whole.
func TestNextUnderRandomEvents(t *testing.T) {
	t.Parallel()
	for seed := range 60 {
		rng := rand.New(rand.NewPCG(uint64(seed), 7)) //nolint:gosec // a test's seed
		p := newPlayer(t, 3, func(o *Options) { o.MaxJobs, o.FailFast = 2, seed%2 == 0 })
		todo := p.feed(event{kind: evBegin, found: make([]found, 3)})
		open := map[int]bool{} // cases whose submission has not been answered, or whose job lives
		at, id := 0.0, 100
		for k := range 200 {
			for _, a := range todo {
				if a.kind == doSubmit {
					require.False(t, open[a.of.cas], "seed %d: a second job of case %d", seed, a.of.cas)
				}
				if a.kind == doSubmit || a.kind == doClose {
					open[a.of.cas] = a.kind == doSubmit
				}
			}
			at += rng.Float64() * 4
			e := randomEvent(rng, p.s, &id)
			e.at = after(at)
			if e.kind == evSearched && e.search.Over && !e.search.OK || e.kind == evSubmitted && e.submitted.Job.ID == "" && !errors.As(e.err, new(*slurm.AmbiguousError)) {
				open[e.of.cas] = false
			}
			if k%20 == seed%20 {
				todo = p.feed(e)
			} else {
				p.s, todo = next(p.s, e)
			}
		}
	}
}

// randomEvent is one that may come in this state.
func randomEvent(rng *rand.Rand, s state, id *int) event {
	i := rng.IntN(len(s.cases))
	c := &s.cases[i]
	of := c.key(i)
	switch {
	case c.stage == stageRecording:
		return event{kind: evSaved}
	case c.stage == stageSubmitting:
		j := c.job
		j.Name = "n"
		switch rng.IntN(4) {
		case 0:
			return event{kind: evSubmitted, of: of, submitted: submit.Submitted{Job: j}, err: &slurm.AmbiguousError{Err: errors.New("lost")}}
		case 1:
			return event{kind: evSubmitted, of: of, submitted: submit.Submitted{Job: j}, err: &slurm.CallError{Command: "sbatch", Text: "try again later"}}
		}
		*id++
		j.ID = fmt.Sprint(*id)
		return event{kind: evSubmitted, of: of, submitted: submit.Submitted{Job: j}}
	case c.stage == stageSearching && c.asking:
		*id++
		return event{kind: evSearched, of: of, search: runs.Search{OK: rng.IntN(2) == 0, Over: rng.IntN(2) == 0, Job: slurm.Job{ID: fmt.Sprint(*id)}}}
	case c.stage == stageWatched && rng.IntN(3) > 0:
		state := []slurm.State{slurm.Pending, slurm.Running, slurm.Completed, slurm.NodeFail, slurm.Suspended, "NEW"}[rng.IntN(6)]
		return event{kind: evQueue, rows: []slurm.QueueRow{{ID: c.job.ID, Name: c.job.Name, State: state, NodeList: "a"}}}
	case c.stage == stageClosing:
		return event{kind: evClosed, of: of, outcome: rundir.AttemptOutcome{Outcome: []rundir.Outcome{"passed", "infra"}[rng.IntN(2)]}}
	case c.stage == stageDeciding:
		return event{kind: evDecided, of: of, decision: retry.Decision{Action: []retry.Action{retry.Done, retry.Again, retry.Repeat}[rng.IntN(3)]}}
	case rng.IntN(50) == 0:
		return event{kind: evRequested, text: "enough"}
	case rng.IntN(50) == 0:
		return event{kind: evInterrupted, err: &Interrupted{Signal: syscall.SIGINT}}
	}
	return event{kind: evTick}
}

// slurmctld that does not answer about a job that waits, maybe for hours, is not asked every second.
func TestAWaitingJobIsAskedAboutRarely(t *testing.T) {
	t.Parallel()
	first := key{cas: 0, rep: 0, number: 1}
	p := newPlayer(t, 1, nil)
	p.feed(event{kind: evBegin, at: after(0), found: make([]found, 1)})
	p.feed(event{kind: evSaved, at: after(0)})
	j := rundir.Job{Schema: 1, Name: "n", ID: "7", Backend: rundir.BackendSlurm}
	p.feed(event{kind: evSubmitted, at: after(1), of: first, submitted: submit.Submitted{Job: j}})
	asked, asker := 0, first
	asker.id = "7"
	for s := range 300 {
		rows := []slurm.QueueRow{{ID: "7", Name: "n", State: slurm.Pending, Reason: slurm.PartitionNodeLimit}}
		todo := p.feed(event{kind: evQueue, at: after(float64(s + 2)), rows: rows})
		todo = append(todo, p.feed(event{kind: evTick, at: after(float64(s + 2))})...)
		if n := strings.Count(deeds(todo), "ask"); n > 0 {
			asked += n
			p.feed(event{kind: evAnswers, at: after(float64(s + 2)), of: asker, answers: answers{asked: outcome.AskControl, ctlErr: errors.New("down")}})
		}
	}
	require.InDelta(t, 9, asked, 1)
}

// watching is a driver that watches job 7.
func watching(t *testing.T) *player {
	t.Helper()
	p := newPlayer(t, 1, nil)
	p.feed(event{kind: evBegin, at: after(0), found: make([]found, 1)})
	p.feed(event{kind: evSaved, at: after(0)})
	j := rundir.Job{Schema: 1, Name: "n", ID: "7", Backend: rundir.BackendSlurm}
	p.feed(event{kind: evSubmitted, at: after(1), of: key{number: 1}, submitted: submit.Submitted{Job: j}})
	return p
}

// What keeps a job in COMPLETING says nothing of its nodes: they are asked about as soon as sacct has said how it
// ended.
func TestNodesOfAStuckJobAreAskedAbout(t *testing.T) {
	t.Parallel()
	p := watching(t)
	p.s.cases[0].facts.Looked = after(1000) // there is no record
	row := slurm.QueueRow{ID: "7", Name: "n", State: slurm.Completing, NodeList: "gpu[0-1]", Start: after(1)}
	asker, asked := key{number: 1, id: "7"}, ""
	for s := 2; s < 200 && p.s.cases[0].stage == stageWatched; s++ {
		now := after(float64(s))
		todo := append(p.feed(event{kind: evQueue, at: now, rows: []slurm.QueueRow{row}}), p.feed(event{kind: evTick, at: now})...)
		for _, a := range todo {
			if a.kind != doAsk {
				continue
			}
			asked += fmt.Sprintf("%d:%d ", s, a.ask)
			got := answers{asked: a.ask, nodeErr: errors.New("not yet")}
			got.rows = []slurm.AcctRow{{ID: "7", Name: "n", State: slurm.NodeFail, Start: after(1), End: after(2), NodeList: "gpu[0-1]"}}
			if s > 126 {
				got.trouble, got.nodeErr = []slurm.NodeTrouble{{Name: "gpu1", Lost: true}}, nil
			}
			p.feed(event{kind: evAnswers, at: after(float64(s) + 0.5), of: asker, answers: got})
		}
	}
	require.Equal(t, "122:3 124:4 126:4 128:4 ", asked)
	require.Equal(t, stageClosing, p.s.cases[0].stage)
}

// While a driver waits for an agent's record, Slurm has nothing to say.
func TestSlurmIsLeftAloneWhileARecordIsUnread(t *testing.T) {
	t.Parallel()
	p := watching(t)
	queries, asked := 0, 0
	for s := 2; s < 3600; s++ {
		now := after(float64(s))
		for _, a := range p.feed(event{kind: evTick, at: now}) {
			switch a.kind {
			case doQueue:
				queries++
				p.feed(event{kind: evQueue, at: now})
			case doAsk:
				asked++
				p.feed(event{kind: evAnswers, at: now, of: key{number: 1, id: "7"}, answers: answers{asked: a.ask}})
			default:
			}
		}
	}
	require.NotEmpty(t, p.s.cases[0].last.Waits)
	require.Less(t, queries, 220) // 66 of them in the five minutes in which it is looked for
	require.Less(t, asked, 40)
}
