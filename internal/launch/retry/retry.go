// Package retry says what follows an attempt that has ended: nothing, a further one
// in its place, or a repetition.
//
// In: the attempt's outcome, and what went before it. Out: a decision. It looks at
// nothing but what it is given.
package retry

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Ended is one attempt that has ended, and what went before it.
type Ended struct {
	Plan    rundir.Plan
	Rep     int
	Attempt int
	Outcome rundir.AttemptOutcome
	History []rundir.Attempt // all attempts of the case so far, this one last
	Retries int              // retries of the whole run so far
	// Repeat is why its judge asks for another repetition, RepeatAfter how long that is to wait; "" = it does not.
	Repeat      string
	RepeatAfter time.Duration
}

// Action is what follows an ended attempt.
type Action int

// The actions.
const (
	Done   Action = iota + 1 // the case is through
	Again                    // a new attempt of the same repetition: this one does not count
	Repeat                   // a new repetition: this one counts
)

// Decision is the answer of Decide.
type Decision struct {
	Action  Action
	Exclude []string       // Again: nodes to keep away from, in addition to earlier ones
	After   time.Duration  // wait so long before the next submission
	Stands  rundir.Outcome // of the case, as its report will say; "" = nobody can say more than the attempt's
	Why     string         // for people; also Attempt.Why of what follows
}

// Policy is the policy for infrastructure failures.
type Policy struct {
	Max      int             `yaml:"max" bounds:"0,"`    // further attempts per repetition after an infrastructure failure
	Budget   int             `yaml:"budget" bounds:"0,"` // further attempts over the whole run; 0 = no bound of its own
	Backoff  rundir.Duration `yaml:"backoff"`            // before the first retry; doubles each time
	MaxDelay rundir.Duration `yaml:"max_delay"`          // bound of the back-off
	Exclude  bool            `yaml:"exclude"`            // keep retries away from the blamed nodes
}

// Default is one further attempt after a minute, away from blamed nodes.
func Default() Policy {
	return Policy{Max: 1, Backoff: rundir.Duration(time.Minute), MaxDelay: rundir.Duration(10 * time.Minute), Exclude: true}
}

// Decide is the policy as a function value for a drive: infrastructure failures are
// retried within the budgets, a measurement that its judge doubts is repeated.
func (p Policy) Decide(_ context.Context, e Ended) Decision {
	if e.Repeat != "" && e.Outcome.Outcome == rundir.OutcomePassed {
		d := Decision{Action: Repeat, Why: e.Repeat}
		if !e.Plan.IsSession() { // which compares with itself, on whatever nodes
			d.Exclude, d.After = e.Outcome.Nodes, e.RepeatAfter
		}
		return d
	}
	if why := p.refuses(e); why != "" {
		return Decision{Action: Done, Why: why}
	}
	d := Decision{Action: Again, After: p.delay(e.used()), Why: fmt.Sprintf("retry: %s", e.Outcome.Reason)}
	if p.Exclude {
		d.Exclude = badNodes(e)
	}
	return d
}

// refuses says why an attempt is not retried, "" when it is.
func (p Policy) refuses(e Ended) string {
	o := e.Outcome.Outcome
	setup := o == rundir.TimeoutOf(rundir.PhaseSetup) // which is nobody's fault that can be proven
	switch {
	case o != rundir.OutcomeInfra && o != rundir.OutcomeLost && !setup:
		return string(o)
	case e.Outcome.Finding != nil && slices.Contains([]string{outcome.KindSubmit, outcome.KindNever}, e.Outcome.Finding.Kind):
		return "a retry would meet the same: " + e.Outcome.Finding.Kind
	case !setup && e.Outcome.Finding != nil && e.Outcome.Finding.Class != "" && e.Outcome.Finding.Class != string(blame.Infra):
		return "not proven to be the infrastructure's fault"
	case e.used() >= p.Max:
		return fmt.Sprintf("%d of %d retries used", e.used(), p.Max)
	case p.Budget > 0 && e.Retries >= p.Budget:
		return fmt.Sprintf("the run's %d retries are used", p.Budget)
	}
	return ""
}

// used counts the retries of the repetition so far.
func (e Ended) used() int {
	n := 0
	for _, a := range e.History {
		if a.Rep == e.Rep && isRetry(a) {
			n++
		}
	}
	return n
}

// isRetry reports whether an attempt was made because the one before had failed, not for one that was interrupted or
// withdrawn.
func isRetry(a rundir.Attempt) bool {
	return a.Attempt > 1 && a.Due != rundir.DueResumed && a.Due != rundir.DueAgain
}

// delay is how long a retry waits after so many others.
func (p Policy) delay(used int) time.Duration {
	d := p.Backoff.D()
	for range used {
		d *= 2
		if m := p.MaxDelay.D(); m > 0 && d > m {
			return m
		}
	}
	return d
}

// badNodes is whom to keep away from. A failure within a minute that names no
// node is often one bad node that looks idle and would be picked again; with
// few nodes in the job, all of them are then avoided.
func badNodes(e Ended) []string {
	if f := e.Outcome.Finding; f != nil && len(f.BadNodes) > 0 {
		return f.BadNodes
	}
	const fewNodes = 2
	if s := e.Outcome.Started; s != nil && len(e.Outcome.Nodes) <= fewNodes && e.Outcome.Ended.Sub(*s) < time.Minute &&
		e.Outcome.Finding != nil && slices.Contains([]string{outcome.KindLaunch, outcome.KindNode}, e.Outcome.Finding.Kind) {
		return e.Outcome.Nodes
	}
	return nil
}

// Used counts the retries that a run has used: its budget holds over all
// drivers of it.
func Used(r rundir.Run) int {
	n := 0
	for _, c := range r.Cases {
		for _, a := range c.Attempts {
			if isRetry(a) {
				n++
			}
		}
	}
	return n
}
