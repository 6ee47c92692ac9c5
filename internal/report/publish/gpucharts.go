package publish

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Geometry of the GPUs' charts below the roles of a timeline, in pixels.
const (
	gpuRow    = 44
	gpuInside = 34 // of a row, for the line
)

// gpuHeight is the room that the charts of the GPUs take.
func gpuHeight(t *rundir.Telemetry) int {
	if t == nil {
		return 0
	}
	return gpuRow*len(t.Series) + 6
}

// gpus draws what the GPUs were seen at, on the roles' time axis: a line for their
// median, a band from the lowest to the highest of them.
func (g *gantt) gpus(t *rundir.Telemetry, y int) {
	if t == nil {
		return
	}
	for i, s := range t.Series {
		g.gpu(t, s, y+6+i*gpuRow)
	}
}

func (g *gantt) gpu(t *rundir.Telemetry, s rundir.TelemetrySeries, y int) {
	n := len(s.At)
	if n == 0 || len(s.Low) != n || len(s.Mid) != n || len(s.High) != n {
		return
	}
	lo, hi := slices.Min(s.Low), slices.Max(s.High)
	said := fmt.Sprintf("%s to %s", look.Quantity(lo, ""), look.Quantity(hi, s.Unit))
	from, to := lo, hi
	if to <= from {
		from, to = from-1, to+1
	}
	at := func(k int, v float64) string {
		x := g.x(t.From.Add(time.Duration(s.At[k]) * t.Step.D()))
		return fmt.Sprintf("%.1f,%.1f", x, float64(y+gpuInside)-(v-from)/(to-from)*(gpuInside-4))
	}
	var band, line []string
	for k := range n {
		band, line = append(band, at(k, s.High[k])), append(line, at(k, s.Mid[k]))
	}
	for k := n - 1; k >= 0; k-- {
		band = append(band, at(k, s.Low[k]))
	}
	fmt.Fprintf(&g.b, `<g><title>GPUs: %s, %s; line: median, band: lowest to highest</title>`, look.XMLText(s.Name), look.XMLText(strings.TrimSpace(said)))
	fmt.Fprintf(&g.b, `<text x="%.1f" y="%d" text-anchor="end">%s</text>`, g.left-8, y+15, look.XMLText(s.Name))
	fmt.Fprintf(&g.b, `<text x="%.1f" y="%d" text-anchor="end" font-size="10">%s</text>`, g.left-8, y+29, look.XMLText(s.Unit))
	fmt.Fprintf(&g.b, `<path d="M%s Z" fill="%s" stroke="none"/>`, strings.Join(band, " L"), look.InkWait)
	fmt.Fprintf(&g.b, `<path d="M%s" fill="none" stroke="%s" stroke-width="1.5"/>`, strings.Join(line, " L"), look.InkRun)
	// The highest and the lowest value stand at the beginning of the line, over it.
	fmt.Fprintf(&g.b, `<text x="%.1f" y="%d" font-size="10">%s</text><text x="%.1f" y="%d" font-size="10">%s</text></g>`+"\n",
		g.left+3, y+9, look.XMLText(look.Quantity(hi, "")), g.left+3, y+gpuInside+4, look.XMLText(look.Quantity(lo, "")))
}
