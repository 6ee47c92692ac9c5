package machine

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Row is one row of a TelemetryFile. What nobody told is NaN.
type Row struct {
	At     time.Time
	GPU    int // -1 = it is about the node
	SM     float64
	Mem    float64
	Power  float64
	Temp   float64
	Util   float64
	Others float64
	Steal  float64
}

// ParseTelemetry reads the rows of a TelemetryFile, by the names of its columns. A row
// that is cut off, or none, is left out.
func ParseTelemetry(text string) []Row {
	var out []Row
	var names []string
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimRight(line, "\r\n"), ",")
		if f[0] == "time" {
			names = f
			continue
		}
		if len(f) != len(names) || !strings.HasSuffix(line, "\n") {
			continue
		}
		if r, ok := row(names, f); ok {
			out = append(out, r)
		}
	}
	return out
}

func row(names, fields []string) (Row, bool) {
	nan := math.NaN()
	r := Row{GPU: -1, SM: nan, Mem: nan, Power: nan, Temp: nan, Util: nan, Others: nan, Steal: nan}
	to := map[string]*float64{"sm_mhz": &r.SM, "mem_mhz": &r.Mem, "power_w": &r.Power, "temp_c": &r.Temp, "util_pct": &r.Util, "others": &r.Others, "steal_pct": &r.Steal}
	for i, name := range names {
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		switch {
		case name == "time":
			r.At = time.UnixMilli(int64(v * 1000))
		case name == "gpu" && v >= 0 && v < 1<<20:
			r.GPU = int(v)
		case to[name] != nil:
			*to[name] = v
		}
	}
	return r, !r.At.IsZero()
}

// worked is the utilisation from which on a card is taken to work.
const worked = 50

// CardSeen is one card as its telemetry and its counters show it during the benchmark.
type CardSeen struct {
	rundir.Card
	MaxSM  int            // its highest clock
	Clocks []float64      // while it worked, in order of time
	Grew   rundir.Counter // by how much each counter grew
	Others []rundir.Other // who else computed on it
	Shared float64        // part of the looks at it that showed somebody else
	Busy   float64        // part of the time in which it had work; NaN = nobody sampled
}

// NodeSeen is one node likewise.
type NodeSeen struct {
	Node  string
	Steal float64 // part of the CPU time, 0..1
	Cards []CardSeen
}

// Span is the time of a benchmark.
type Span struct{ From, To time.Time }

func (s Span) has(t time.Time) bool { return !t.Before(s.From) && !t.After(s.To) }

// See makes of a node's record and its rows what is judged.
func See(rec rundir.NodeRecord, rows []Row, in Span) NodeSeen {
	out := NodeSeen{Node: NameOf(rec.NodeMachine)}
	var steal []float64
	byCard := map[int][]Row{}
	for _, r := range rows {
		switch {
		case !in.has(r.At):
		case r.GPU >= 0:
			byCard[r.GPU] = append(byCard[r.GPU], r)
		case !math.IsNaN(r.Steal):
			steal = append(steal, r.Steal)
		}
	}
	out.Steal = mean(steal) / 100
	for _, g := range rec.GPUs {
		c := CardSeen{Card: rundir.Card{Node: out.Node, Index: g.Index, UUID: g.UUID, Name: g.Name}, MaxSM: g.Clocks.MaxSM, Grew: grew(rec.Phases, g.UUID)}
		c.sampled(byCard[g.Index])
		if us, ok := c.Grew[rundir.CountPowerCap]; ok && in.To.After(in.From) {
			capped := min(1, float64(us)/float64(in.To.Sub(in.From).Microseconds()))
			c.Capped = &capped
		}
		for _, o := range rec.Others {
			if o.UUID == g.UUID && !o.Last.Before(in.From) && !o.First.After(in.To) {
				c.Others = append(c.Others, o)
			}
		}
		out.Cards = append(out.Cards, c)
	}
	return out
}

// NameOf is a node's name for people: on the local backend the host's.
func NameOf(m rundir.NodeMachine) string {
	if m.Node == "local" && m.Host != "" {
		return m.Host
	}
	return m.Node
}

func (c *CardSeen) sampled(rows []Row) {
	var mem, power, util, looks, shared []float64
	for _, r := range rows {
		if r.Util >= worked || math.IsNaN(r.Util) {
			c.Clocks = add(c.Clocks, r.SM)
			mem = add(mem, r.Mem)
		}
		power, util = add(power, r.Power), add(util, r.Util)
		if r.Temp > c.Temp {
			c.Temp = r.Temp
		}
		if looks = add(looks, r.Others); r.Others > 0 {
			shared = add(shared, r.Others)
		}
	}
	if c.Busy = math.NaN(); len(util) > 0 {
		c.Busy = mean(util) / 100
	}
	c.SM, c.Mem, c.Power, c.Util = median(c.Clocks), median(mem), median(power), median(util)
	if len(looks) > 0 {
		c.Shared = float64(len(shared)) / float64(len(looks))
	}
}

func add(to []float64, v float64) []float64 {
	if math.IsNaN(v) {
		return to
	}
	return append(to, v)
}

func mean(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// grew is by how much the counters of a card grew in all phases that were looked at.
// One that went back was set anew: nobody knows by how much it grew.
func grew(phases []rundir.PhaseCounters, uuid string) rundir.Counter {
	out := rundir.Counter{}
	for _, p := range phases {
		if p.Before == nil || p.After == nil {
			continue
		}
		for name, after := range p.After.Cards[uuid] {
			if before, ok := p.Before.Cards[uuid][name]; ok && after >= before {
				out[name] += after - before
			}
		}
	}
	return out
}

// Seen is what the machines of an attempt were seen to be while it measured.
type Seen struct {
	rundir.Machine
	Nodes     []NodeSeen
	Took      time.Duration     // of the benchmark
	Telemetry *rundir.Telemetry // nil = no card was sampled
}

// Kept is the machine as it is kept with a measurement, without what is judged of it.
func (s *Seen) Kept() *rundir.Machine {
	if s == nil {
		return nil
	}
	m := s.Machine
	m.Cards = nil
	for _, n := range s.Nodes {
		for _, c := range n.Cards {
			m.Cards = append(m.Cards, c.Card)
		}
	}
	return &m
}
