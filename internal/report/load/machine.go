package load

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/machine"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// machines reads what the machines of a run were seen to be while it measured, nil where
// nobody looked.
func machines(at place, agent *rundir.AgentRecord, build string) *machine.Seen {
	var env rundir.Environment
	if agent == nil || at.tree.ReadJSON(at.attempt.EnvironmentFile(), &env) != nil {
		return nil
	}
	out := &machine.Seen{Machine: rundir.Machine{Facts: machine.Facts(env, build)}}
	span := benchmark(agent)
	out.Took = span.To.Sub(span.From)
	var all []machine.Row
	for _, n := range env.Nodes {
		var rec rundir.NodeRecord
		if at.tree.ReadJSON(at.run.MachineFile(n.Node), &rec) != nil {
			continue
		}
		rows := telemetry(at, n.Node)
		all = append(all, rows...)
		out.Nodes = append(out.Nodes, machine.See(rec, rows, span))
	}
	out.Telemetry = machine.SeriesOf(all)
	return out
}

// telemetry reads the samples of a node; one that nobody sampled has none.
func telemetry(at place, node string) []machine.Row {
	if strings.ContainsRune(node, filepath.Separator) {
		return nil
	}
	text, err := at.tree.ReadFile(at.run.TelemetryFile(node), rundir.MaxTelemetryFile)
	if err != nil {
		return nil
	}
	return machine.ParseTelemetry(string(text))
}

// benchmark is the time of a run's benchmark.
func benchmark(agent *rundir.AgentRecord) (s machine.Span) {
	for _, p := range agent.Phases {
		if p.Phase != rundir.PhaseBenchmark {
			continue
		}
		s.From, s.To = p.Start, agent.Heartbeat
		if p.End != nil {
			s.To = *p.End
		}
	}
	if s.To.IsZero() || s.To.Before(s.From) {
		s.To = s.From.Add(time.Nanosecond)
	}
	return s
}

// buildOf is the build of the run that stands for an attempt.
func buildOf(agent *rundir.AgentRecord) string {
	if agent == nil {
		return ""
	}
	return agent.Run.Build
}
