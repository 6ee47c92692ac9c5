// Package suspect decides whether a measurement may be the machine's and not the
// software's.
//
// In: what a benchmark's nodes and cards were seen at, what is usual for each card and
// for the case, limits. Out: suspicions in words, worst first within their kinds. It is
// pure: the same evidence gives the same suspicions.
package suspect

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/machine"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

const (
	leastRuns    = 3    // measurements before anything is usual
	leastSamples = 5    // of a clock, before it is called low
	lowFor       = 0.2  // part of its working time in which a clock must be low
	looked       = 0.25 // part of the looks at a card in which somebody else must have been there …
	computedFor  = 4 * time.Second
)

// Usual is what is known of earlier measurements of the same case.
type Usual struct {
	Cards  map[string][]float64 // clocks under load by UUID, one for each measurement
	Models map[string][]float64 // the same by the name of the card
	Capped []float64            // part of the benchmark for which a power limit held a card, of each
	// Settled says that what was suspect until now is usual from now on; "" = nothing did.
	Settled string
}

// UsualOf reads what is usual off earlier measurements: those that were not suspect.
func UsualOf(past []rundir.Machine) Usual {
	u := Usual{Cards: map[string][]float64{}, Models: map[string][]float64{}}
	settled := 0
	if end := habit(past); end > 0 {
		if end == len(past) {
			u.Settled = fmt.Sprintf("the last %d measurements were all suspect, and for nothing but clock or power limit (%s): that is taken for usual from now on",
				habitRuns, Foremost(past[end-1].Suspects))
		}
		past, settled = past[end-habitRuns:], habitRuns
	}
	for i, m := range past {
		if len(m.Suspects) > 0 && i >= settled {
			continue
		}
		for _, c := range m.Cards {
			u.add(c)
		}
	}
	return u
}

func (u *Usual) add(c rundir.Card) {
	if c.Capped != nil {
		u.Capped = append(u.Capped, *c.Capped)
	}
	if c.SM <= 0 {
		return
	}
	if c.UUID != "" {
		u.Cards[c.UUID] = append(u.Cards[c.UUID], c.SM)
	}
	if c.Name != "" {
		u.Models[c.Name] = append(u.Models[c.Name], c.SM)
	}
}

// habitRuns is how many measurements in a row make of what was unusual the usual: a lower power limit of the whole
// fleet would else be suspect for ever.
const habitRuns = 7

// habit is the end of the latest measurements in a row that were suspect, and by nothing but
// clock or power limit; 0 = there were never enough.
func habit(past []rundir.Machine) int {
	inRow, end := 0, 0
	for i, m := range past {
		odd := len(m.Suspects) > 0 && !slices.ContainsFunc(m.Suspects, func(s rundir.Suspicion) bool {
			return s.Kind != rundir.SuspectClock && s.Kind != rundir.SuspectPowerCap
		})
		if inRow++; !odd {
			inRow = 0
		}
		if inRow >= habitRuns {
			end = i + 1
		}
	}
	return end
}

// clock is a card's usual clock: its own, else that of the cards like it in the case's
// past, 0 = nobody knows.
func (u Usual) clock(c machine.CardSeen) float64 {
	for _, known := range [][]float64{u.Cards[c.UUID], u.Models[c.Name]} {
		if len(known) >= leastRuns {
			return bws.Median(known, nil)
		}
	}
	return 0
}

// Judge says why a measurement is suspect, nothing where it is not.
func Judge(nodes []machine.NodeSeen, took time.Duration, u Usual, l rundir.MachineLimits) []rundir.Suspicion {
	j := judge{took: took, usual: u, limits: l}
	for _, n := range nodes {
		for _, c := range n.Cards {
			j.card(c)
		}
		if l.Steal > 0 && n.Steal >= l.Steal {
			j.out = append(j.out, rundir.Suspicion{
				Kind: rundir.SuspectSteal, Node: n.Node,
				Text: fmt.Sprintf("the hypervisor of %s gave %s of its CPU time to others", n.Node, percent(n.Steal)),
			})
		}
	}
	return j.out
}

type judge struct {
	took   time.Duration
	usual  Usual
	limits rundir.MachineLimits
	out    []rundir.Suspicion
}

func (j *judge) say(kind string, c machine.CardSeen, format string, args ...any) {
	index := c.Index
	j.out = append(j.out, rundir.Suspicion{
		Kind: kind, Node: c.Node, GPU: &index, UUID: c.UUID,
		Text: fmt.Sprintf("GPU %d of %s ", c.Index, c.Node) + fmt.Sprintf(format, args...),
	})
}

func (j *judge) card(c machine.CardSeen) {
	j.slowed(c)
	j.clock(c)
	j.neighbours(c)
	j.errors(c)
}

// part is a counter of microseconds as a part of the benchmark.
func (j *judge) part(c machine.CardSeen, count string) float64 {
	if j.took <= 0 {
		return 0
	}
	return min(1, float64(c.Grew[count])/float64(j.took.Microseconds()))
}

// slowed looks at what the counters say of throttling.
func (j *judge) slowed(c machine.CardSeen) {
	if hot := max(j.part(c, rundir.CountThermal), j.part(c, rundir.CountThermalHW)); j.limits.Thermal > 0 && hot >= j.limits.Thermal {
		at := ""
		if c.Temp > 0 {
			at = fmt.Sprintf(" at up to %.0f °C", c.Temp)
		}
		j.say(rundir.SuspectThermal, c, "was slowed down for its heat%s for %s of the benchmark%s", at, percent(hot), ran(c))
	}
	if brake := j.part(c, rundir.CountPowerBrake); j.limits.PowerBrake > 0 && brake >= j.limits.PowerBrake {
		j.say(rundir.SuspectPowerBrake, c, "was slowed down by its machine's power supply for %s of the benchmark%s", percent(brake), ran(c))
	}
	if c.Capped == nil || len(j.usual.Capped) < leastRuns || j.limits.PowerCap <= 0 {
		return
	}
	if usual := bws.Median(j.usual.Capped, nil); *c.Capped >= usual+j.limits.PowerCap {
		j.say(rundir.SuspectPowerCap, c, "was held by its power limit for %s of the benchmark, where %s is usual for this case%s", percent(*c.Capped), percent(usual), ran(c))
	}
}

// ran says which clock a card ran at, if that is known.
func ran(c machine.CardSeen) string {
	if c.SM <= 0 || c.MaxSM <= 0 {
		return ""
	}
	return fmt.Sprintf(", at %s MHz of %s", thousands(c.SM), thousands(float64(c.MaxSM)))
}

// clock looks for a clock below the card's usual. The usual is what power limit and heat
// of the case leave of the highest, so a case that is always capped is not suspect.
func (j *judge) clock(c machine.CardSeen) {
	usual := j.usual.clock(c)
	if j.limits.Clock <= 0 || usual <= 0 || len(c.Clocks) < leastSamples {
		return
	}
	var low []float64
	for _, v := range c.Clocks {
		if v < usual*(1-j.limits.Clock) {
			low = append(low, v)
		}
	}
	if part := float64(len(low)) / float64(len(c.Clocks)); part >= lowFor {
		of := usual
		if c.MaxSM > 0 {
			of = float64(c.MaxSM)
		}
		j.say(rundir.SuspectClock, c, "ran at %s MHz of %s for %s of the benchmark; %s is usual for it here", thousands(bws.Median(low, nil)), thousands(of), percent(part), thousands(usual))
	}
}

// neighbours looks for others' processes that were there for a part of the benchmark.
func (j *judge) neighbours(c machine.CardSeen) {
	var there []string
	for _, o := range c.Others {
		if c.Shared >= looked || o.Last.Sub(o.First) >= computedFor {
			there = append(there, strings.TrimSpace(fmt.Sprintf("%s (pid %d)", o.Name, o.PID)))
		}
	}
	if j.limits.Neighbours <= 0 || len(there) < j.limits.Neighbours {
		return
	}
	const most = 3
	text := strings.Join(there[:min(most, len(there))], ", ")
	if more := len(there) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	j.say(rundir.SuspectNeighbour, c, "was shared with %s, which is not of this job", text)
}

// errors looks for errors of the card's memories. What was taken out of use is one.
func (j *judge) errors(c machine.CardSeen) {
	words := map[string]string{
		rundir.CountUncorrected: "uncorrected memory errors", rundir.CountCorrected: "corrected memory errors",
		rundir.CountRetired: "memory pages retired", rundir.CountRemapped: "memory rows remapped",
	}
	n := int64(0)
	var said []string
	for _, count := range slices.Sorted(maps.Keys(words)) {
		if grew := c.Grew[count]; grew > 0 {
			n += grew
			said = append(said, fmt.Sprintf("%d %s", grew, words[count]))
		}
	}
	if j.limits.ECC > 0 && n >= int64(j.limits.ECC) {
		j.say(rundir.SuspectECC, c, "had %s during the benchmark", strings.Join(said, ", "))
	}
}

// Probably says of suspicions, in one sentence, that a regression may be the machine's;
// "" = there are none.
func Probably(s []rundir.Suspicion) string {
	if len(s) == 0 {
		return ""
	}
	return "the machine, probably: " + Foremost(s)
}

// Foremost is the suspicion that explains most, and how many more there are.
func Foremost(s []rundir.Suspicion) string {
	first := slices.MinFunc(s, func(a, b rundir.Suspicion) int { return cmp.Compare(rank(a.Kind), rank(b.Kind)) })
	text := first.Text
	if more := len(s) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}

// rank orders suspicions by how much they explain.
func rank(kind string) int {
	return slices.Index([]string{rundir.SuspectThermal, rundir.SuspectPowerBrake, rundir.SuspectClock, rundir.SuspectNeighbour, rundir.SuspectPowerCap, rundir.SuspectSteal, rundir.SuspectECC}, kind)
}

func percent(part float64) string {
	if part > 0 && part < 0.1 {
		return fmt.Sprintf("%.1f %%", 100*part)
	}
	return fmt.Sprintf("%.0f %%", 100*part)
}

// thousands writes a number as people read it: 1,980.
func thousands(v float64) string {
	n := int(math.Round(v))
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
