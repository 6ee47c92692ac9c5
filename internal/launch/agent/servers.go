package agent

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/node"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/step"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// A dead server ends the attempt although its role lives on: the test looks at it
// every 10 s at most, a client may wait for it for hours. How sure that is decides
// how long is waited for the client to be through, or for the role to end by itself.
const (
	killedFor = 2 * time.Second // it died of a signal that no test sends to its server
	goneFor   = statusDelay     // it has gone otherwise: the client may be through and its status file on its way
	sickFor   = 8 * time.Second // its health check says so again and again, or nobody listens at its address
	silentFor = 2 * time.Minute // it does not answer, and nothing that it writes grows: a busy one may be slow
)

// sight is what the helpers have seen of a role's server so far.
type sight struct {
	gone   rundir.NodeEvent // how it went; What "" = it lives, as far as is known
	heard  time.Time        // when that was heard
	unwell rundir.NodeEvent // since when its health check is not answered well; What "" = it is
	last   rundir.NodeEvent // the newest of these
	still  time.Duration    // then: since it or its role had written anything
}

// left notes how a server went, if that is what a helper saw.
func (s *sight) left(e event) {
	if slices.Contains([]rundir.NodeWhat{rundir.NodeEnded, rundir.NodeGone, rundir.NodePortGone}, e.seen.What) && (s.gone.What == "" || s.gone.What == rundir.NodePortGone) {
		s.gone, s.heard = e.seen, e.at
	}
}

// take notes what a helper saw of a server.
func (s *sight) take(e event) {
	s.left(e)
	switch e.seen.What {
	case rundir.NodeSick, rundir.NodeSilent, rundir.NodeRefused:
		if s.last = e.seen; s.unwell.What != e.seen.What {
			s.unwell = e.seen
		}
		s.still = e.quiet
	case rundir.NodeHealthy:
		s.unwell = rundir.NodeEvent{}
	default: // about the helper, or as it should be
	}
}

// deadServers begins the teardown for a server that has gone or does not do its work
// any more, while its role's step lives. Only one that was ready counts, and only
// until the client is through, which calls it off.
func (m *machine) deadServers(e event) {
	if m.phase != rundir.PhaseReady && m.phase != rundir.PhaseBenchmark {
		return
	}
	for _, r := range m.roles {
		if r.wave != waveMain || r.state != rundir.RoleReady || r.optional || m.isClient(r) {
			continue
		}
		cause, ok := r.dead(m, e)
		if !ok {
			continue
		}
		cause.Node = slices.Concat(r.nodes, []string{""})[0]
		m.begin(e.at, fmt.Sprintf("%s: %s", r.name, deadWords(r.server, cause)), 0, cause)
		m.ending.zero = true
		return
	}
}

// dead is the fact for which a server counts as dead.
func (r role) dead(m *machine, e event) (blame.Event, bool) {
	s := r.server
	ill := s.last.At.Sub(s.unwell.At)
	switch {
	case s.gone.What == rundir.NodeEnded && !node.Told(s.gone) && s.gone.Signal != 0:
		return goneEvent(r), e.at.Sub(s.heard) >= killedFor
	case s.gone.What != "":
		return goneEvent(r), e.at.Sub(s.heard) >= goneFor
	case m.phase != rundir.PhaseBenchmark:
		return blame.Event{}, false
	case s.unwell.What == rundir.NodeSick && r.kind == rundir.KindServer: // a router answers with what others told it
		return blame.Event{Role: r.name, Kind: blame.ServerSick, At: s.unwell.At, Text: fmt.Sprint(s.last.Status)}, ill >= sickFor
	case s.unwell.What == rundir.NodeRefused:
		return blame.Event{Role: r.name, Kind: blame.ServerGone, At: s.unwell.At, Text: node.Words(s.unwell)}, ill >= sickFor
	case s.unwell.What == rundir.NodeSilent && m.hang > 0:
		bound := silentFor
		if e.served.IsZero() { // no request may have come yet: it is silent without a reason, or prepares for the first
			bound = max(bound, m.hang)
		}
		return blame.Event{Role: r.name, Kind: blame.Hang, At: e.at, Text: s.silence(ill)}, ill >= bound && s.still >= bound
	}
	return blame.Event{}, false
}

func (s sight) silence(ill time.Duration) string {
	return fmt.Sprintf("its server has not answered its health check for %v (%s)", ill.Round(time.Second), s.last.Text)
}

// silent is that a role's server had not answered for long, by the conditions of dead, when the benchmark ended; ok =
// it had not. It may have been slow for any reason, so it is evidence only of whom a client missed that gave up.
func (s state) silent(r role) (e blame.Event, ok bool) {
	if s.ending == nil || s.ending.phase != rundir.PhaseBenchmark || s.hang <= 0 || r.kind != rundir.KindServer || r.optional ||
		r.server.unwell.What != rundir.NodeSilent || s.ending.cause.Role == r.name {
		return e, false
	}
	last := slices.MinFunc([]time.Time{r.server.last.At, s.ending.at}, time.Time.Compare)
	ill := last.Sub(r.server.unwell.At)
	e = blame.Event{Role: r.name, Kind: blame.Hang, At: r.server.unwell.At, Text: r.server.silence(ill), Weak: true}
	return e, ill >= silentFor && r.server.still >= silentFor && s.ending.at.Sub(last) < silentFor
}

// fell reports whether the role's server died before the client gave its word that it was through. Its test may pass
// all the same, which looks for that word first, and what was measured says nothing. One that has gone otherwise than
// by a signal may have been told to by that very client.
func (s state) fell(r role) bool {
	g, word := r.server.gone, s.drainAt
	if !s.word.IsZero() && s.word.Before(word) {
		word = s.word
	}
	if s.drainAt.IsZero() || r.wave != waveMain || s.isClient(r) || r.optional || node.Told(g) {
		return false
	}
	return g.What == rundir.NodeEnded && g.Signal != 0 && g.At.Before(word) ||
		(g.What == rundir.NodeEnded || g.What == rundir.NodeGone) && word.Sub(g.At) > settleZero
}

func goneEvent(r role) blame.Event {
	s := r.server.gone
	ev := blame.Event{Role: r.name, Kind: blame.ServerGone, At: s.At, Exit: s.Exit, Signal: s.Signal, Node: slices.Concat(r.nodes, []string{""})[0]}
	if s.What == rundir.NodePortGone {
		ev.Text = fmt.Sprintf("nobody listens on its port %d any more", s.Port)
	}
	return ev
}

func deadWords(s sight, cause blame.Event) string {
	switch {
	case cause.Kind == blame.Hang:
		return cause.Text
	case cause.Kind == blame.ServerSick, s.gone.What == "":
		return node.Words(s.unwell)
	case s.gone.What == rundir.NodeGone:
		return "its server's process has gone"
	}
	return node.Words(s.gone)
}

// hangsOn notes the switch of a node, which a helper there knows. What was handed on to be
// written stays as it is.
func (h *helpers) hangsOn(began rundir.NodeEvent) {
	all := map[string]string{}
	maps.Copy(all, h.switches)
	all[began.Text] = began.Switch
	h.switches = all
}

func (v *supervisor) hear(seen rundir.NodeEvent) {
	i := slices.IndexFunc(v.specs, func(s step.Spec) bool { return s.Role.Name == seen.Role })
	if i < 0 && (seen.What != rundir.NodeBegan || seen.Switch == "") {
		return
	}
	if seen.What == rundir.NodeRequests {
		v.watch.Waits(i, seen)
		return
	}
	v.send(event{kind: evSeen, role: i, at: v.o.Now(), seen: seen})
}
