package answers

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/ci-disagg/ci-disagg/internal/launch/collect"
	"github.com/ci-disagg/ci-disagg/internal/launch/follow"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Pair is a pair that has been measured, with all that was before it.
type Pair struct {
	Plan    rundir.Plan
	Attempt rundir.Attempt
	Dir     rundir.AttemptDir // here, where the runs' files are
	Ends    []rundir.RunEnd   // in the order in which they ended; the last one ended the pair
}

// Desk answers for the cases of one run.
type Desk struct {
	runs.Access
	Dir     rundir.Dir // of the run, here
	Plans   []rundir.Plan
	Collect collect.Rules
	Decide  func(context.Context, Pair) (rundir.Answer, error)
	Tell    func(caseID, text string) // what was answered, for people

	mu    sync.Mutex
	state map[rundir.AttemptDir]*attempt
}

// attempt is what was done for one of them.
type attempt struct {
	busy    bool
	pairs   int          // that were answered
	fetched map[int]bool // runs
}

// Saw takes what was seen of agents. It does not wait for what that leads to.
func (d *Desk) Saw(ctx context.Context, watched []follow.Job, sights []follow.Sight) {
	for i, s := range sights {
		if s.Record == nil {
			continue
		}
		p, ok := d.pair(watched[i].There, s.Record.Runs)
		if !ok {
			continue
		}
		if a := d.take(p); a != nil {
			go d.answer(ctx, watched[i].There, p, a)
		}
	}
}

// pair is the newest pair of an attempt; false = there is none to be answered.
func (d *Desk) pair(there rundir.AttemptDir, ends []rundir.RunEnd) (Pair, bool) {
	slug, rep, number, ok := parse(there)
	i := slices.IndexFunc(d.Plans, func(p rundir.Plan) bool { return p.Case.Slug == slug })
	if !ok || i < 0 || !d.Plans[i].ForRep(rep).IsSession() {
		return Pair{}, false
	}
	pairs := rundir.PairsOf(ends)
	if len(pairs) == 0 {
		return Pair{}, false
	}
	last := slices.Index(ends, pairs[len(pairs)-1].Last()) // what has ended behind it is half a pair
	return Pair{
		Plan: d.Plans[i], Attempt: rundir.Attempt{Rep: rep, Attempt: number, Session: true},
		Dir: d.Dir.CaseDir(slug).Attempt(rep, number), Ends: slices.Clone(ends[:last+1]),
	}, true
}

// parse reads which attempt a directory is of: …/<slug>/rep-<q>/attempt-<n>.
func parse(there rundir.AttemptDir) (slug string, rep, number int, ok bool) {
	parts := strings.Split(filepath.ToSlash(string(there)), "/")
	if len(parts) < 3 {
		return "", 0, 0, false
	}
	parts = parts[len(parts)-3:]
	rep, err := strconv.Atoi(strings.TrimPrefix(parts[1], "rep-"))
	number, err2 := strconv.Atoi(strings.TrimPrefix(parts[2], "attempt-"))
	return parts[0], rep, number, err == nil && err2 == nil
}

// take reserves an attempt for one answer, nil where its newest pair has one, or another
// is being made.
func (d *Desk) take(p Pair) *attempt {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state == nil {
		d.state = map[rundir.AttemptDir]*attempt{}
	}
	a := d.state[p.Dir]
	if a == nil {
		a = &attempt{fetched: map[int]bool{}}
		d.state[p.Dir] = a
	}
	if a.busy || len(rundir.PairsOf(p.Ends)) <= a.pairs {
		return nil
	}
	a.busy = true
	return a
}

// answer gives the answer to the newest pair. What cannot be done now is tried again
// when the agent is seen next: it does not wait for it for ever.
func (d *Desk) answer(ctx context.Context, there rundir.AttemptDir, p Pair, a *attempt) {
	err := d.give(ctx, there, p, a)
	d.mu.Lock()
	defer d.mu.Unlock()
	if a.busy = false; err == nil {
		a.pairs = len(rundir.PairsOf(p.Ends))
	} else if ctx.Err() == nil {
		d.Log.Warn("answer for a paired session", "case", p.Plan.Case.ID, "err", err)
	}
}

func (d *Desk) give(ctx context.Context, there rundir.AttemptDir, p Pair, a *attempt) error {
	if !d.Host.Shared() {
		for _, e := range p.Ends {
			if err := d.fetch(ctx, there, p.Dir, e.Run.Index, a); err != nil {
				return err
			}
		}
	}
	said, err := d.Decide(ctx, p)
	if err != nil {
		return err
	}
	said.At = d.Now()
	file := p.Dir.AnswerFile(said.After)
	if err := rundir.WriteJSON(file, said); err != nil {
		return err
	}
	if !d.Host.Shared() {
		rel, _ := filepath.Rel(string(p.Dir), file) // one is inside the other
		if err := d.Host.Push(ctx, string(p.Dir), string(there), []string{rel}); err != nil {
			return err
		}
	}
	d.Tell(p.Plan.Case.ID, fmt.Sprintf("pair %d: %s", len(rundir.PairsOf(p.Ends)), words(said)))
	return nil
}

// fetch brings the files of one run home, once.
func (d *Desk) fetch(ctx context.Context, there, here rundir.AttemptDir, run int, a *attempt) error {
	if a.fetched[run] {
		return nil
	}
	_, err := collect.Gather(ctx, d.Host, string(there.Run(run)), string(here.Run(run)), d.Collect)
	a.fetched[run] = err == nil
	return err
}

func words(a rundir.Answer) string {
	switch a.Do {
	case rundir.DoStop:
		return a.Why + ": " + a.Word
	case rundir.DoAgain:
		return fmt.Sprintf("pair %d is measured again: %s", a.Pair, a.Why)
	default:
		return a.Why
	}
}
