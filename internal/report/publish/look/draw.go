package look

import (
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Dot adds a dot of radius r to a path.
func Dot(p vg.Path, x, y, r vg.Length) vg.Path {
	p.Move(vg.Point{X: x + r, Y: y})
	p.Arc(vg.Point{X: x, Y: y}, r, 0, 2*math.Pi)
	p.Close()
	return p
}

// ValueTicks are three to six round values.
func ValueTicks(lo, hi float64) []plot.Tick {
	span := hi - lo
	if span <= 0 || math.IsInf(span, 0) || math.IsNaN(span) {
		return nil
	}
	step := math.Pow(10, math.Floor(math.Log10(span/4)))
	for _, f := range []float64{1, 2, 5, 10} {
		if span/(step*f) <= 5.5 {
			step *= f
			break
		}
	}
	decimals := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	var ticks []plot.Tick
	for k := math.Ceil(lo/step) + 0; k*step <= hi && len(ticks) < 12; k++ { // + 0: no "-0"
		ticks = append(ticks, plot.Tick{Value: k * step, Label: strconv.FormatFloat(k*step, 'f', decimals, 64)})
	}
	return ticks
}

// Finite reports whether v is a number that can be drawn.
func Finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// Line is how a line of that colour and width is drawn.
func Line(colour string, width vg.Length, dashes ...vg.Length) draw.LineStyle {
	return draw.LineStyle{Color: Ink(colour), Width: width, Dashes: dashes}
}

// Ink is one of the colours above, #rrggbb.
func Ink(hex string) color.Color {
	v, _ := strconv.ParseUint(hex[1:], 16, 32) // constants of this package
	return color.NRGBA{R: uint8(v >> 16), G: uint8(v >> 8), B: uint8(v), A: 255}
}
