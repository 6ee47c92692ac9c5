package drive

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// DefaultRetry is one further attempt after a minute, away from blamed nodes.
func DefaultRetry() Retry {
	return Retry{Max: 1, Backoff: rundir.Duration(time.Minute), MaxDelay: rundir.Duration(10 * time.Minute), Exclude: true}
}

// Decide is the policy as a function value for Options.Decide: infrastructure
// failures are retried within the budgets, nothing else is.
func (r Retry) Decide(_ context.Context, e Ended) Decision {
	if why := r.refuses(e); why != "" {
		return Decision{Action: Done, Why: why}
	}
	d := Decision{Action: RetryCase, After: r.delay(e.Attempt), Why: fmt.Sprintf("retry: %s", e.Outcome.Reason)}
	if r.Exclude {
		d.Exclude = badNodes(e)
	}
	return d
}

// refuses says why an attempt is not retried, "" when it is.
func (r Retry) refuses(e Ended) string {
	o := e.Outcome.Outcome
	retryable := o == rundir.OutcomeInfra || o == rundir.OutcomeLost || o == rundir.TimeoutOf(rundir.PhaseSetup)
	switch {
	case !retryable:
		return string(o)
	case e.Outcome.Finding != nil && slices.Contains([]string{outcome.KindSubmit, outcome.KindNever}, e.Outcome.Finding.Kind):
		return "a retry would meet the same: " + e.Outcome.Finding.Kind
	case e.Outcome.Finding != nil && e.Outcome.Finding.Class != "" && e.Outcome.Finding.Class != "infra":
		return "not proven to be the infrastructure's fault"
	case e.Attempt > r.Max:
		return fmt.Sprintf("%d of %d retries used", e.Attempt-1, r.Max)
	case r.Budget > 0 && e.Retries >= r.Budget:
		return fmt.Sprintf("the run's %d retries are used", r.Budget)
	}
	return ""
}

func (r Retry) delay(attempt int) time.Duration {
	d := r.Backoff.D()
	for range attempt - 1 {
		d *= 2
		if m := r.MaxDelay.D(); m > 0 && d > m {
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
