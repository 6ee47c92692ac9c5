package publish

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/stretchr/testify/require"
)

// What WCAG 2.1 AA asks of text, and of what a drawing is understood by.
const (
	textContrast    = 4.5
	graphicContrast = 3.0
)

type rgb [3]float64

func parseInk(t *testing.T, s string) rgb {
	t.Helper()
	v, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 16, 32)
	require.NoError(t, err)
	return rgb{float64(v >> 16), float64(v >> 8 & 0xff), float64(v & 0xff)}
}

// over is a with the opacity share laid over b.
func (a rgb) over(b rgb, share float64) rgb {
	for i := range a {
		a[i] = share*a[i] + (1-share)*b[i]
	}
	return a
}

// onDark is what report.css makes of a drawing's colour on a dark page:
// invert(0.92) hue-rotate(180deg), by the matrices of the Filter Effects module.
func (a rgb) onDark() rgb {
	for i := range a {
		a[i] = 255*0.92 - 0.84*a[i]
	}
	matrix := [3]rgb{{-0.574, 1.43, 0.144}, {0.426, 0.43, 0.144}, {0.426, 1.43, -0.856}}
	var out rgb
	for i, row := range matrix {
		for k := range row {
			out[i] += row[k] * a[k]
		}
		out[i] = math.Min(255, math.Max(0, out[i]))
	}
	return out
}

func (a rgb) luminance() float64 {
	var sum float64
	for i, weight := range (rgb{0.2126, 0.7152, 0.0722}) {
		c := a[i] / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

func contrast(a, b rgb) float64 {
	x, y := a.luminance(), b.luminance()
	return (math.Max(x, y) + 0.05) / (math.Min(x, y) + 0.05)
}

func TestContrastOfPages(t *testing.T) {
	t.Parallel()
	css := look.Style()
	blocks := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(string(css), -1)
	require.Len(t, blocks, 2, "light and dark")
	for i, block := range blocks {
		colour := map[string]rgb{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`).FindAllStringSubmatch(block[1], -1) {
			colour[m[1]] = parseInk(t, m[2])
		}
		soft := []string{"page", "soft", "bad-soft", "good-soft", "doubt-soft", "infra-soft"}
		pairs := map[string][]string{"ink": soft, "dim": soft, "link": soft}
		for _, tone := range []string{"bad", "good", "doubt", "infra"} {
			pairs[tone] = []string{"page", tone + "-soft"}
		}
		for text, grounds := range pairs {
			for _, ground := range grounds {
				require.GreaterOrEqual(t, contrast(colour[text], colour[ground]), textContrast, "%s on %s, set %d", text, ground, i)
			}
		}
		require.GreaterOrEqual(t, contrast(colour["run"], colour["page"]), graphicContrast, "legend, set %d", i)
	}
}

func TestContrastOfDrawings(t *testing.T) {
	t.Parallel()
	white := rgb{255, 255, 255}
	for name, mode := range map[string]struct {
		page rgb
		see  func(rgb) rgb
	}{
		"light": {white, func(c rgb) rgb { return c }},
		"dark":  {parseInk(t, "#0d1117"), rgb.onDark},
	} {
		see := func(ink string) rgb { return mode.see(parseInk(t, ink)) }
		check := func(a, b rgb, least float64, format string, args ...any) {
			require.GreaterOrEqual(t, contrast(a, b), least, "%s: %s", name, fmt.Sprintf(format, args...))
		}
		for _, ink := range []string{look.InkText, look.InkBad} {
			check(see(ink), mode.page, textContrast, "names, %s", ink)
		}
		for _, ink := range []string{look.InkHistory, look.InkBase, look.InkBad, look.InkGood, look.InkDoubt} {
			check(see(ink), mode.page, graphicContrast, "points and lines, %s", ink)
		}
		for _, full := range []string{look.InkRun, look.InkBad} {
			check(mode.see(white), see(full), textContrast, "words in a bar, %s", full)
		}
		for _, pale := range []string{look.InkWait, look.InkWaitBad} {
			check(see(look.InkText), see(pale), textContrast, "words in a pale bar, %s", pale)
		}
		for _, band := range []string{look.InkBand, look.InkBandAlt} {
			ground := see(band).over(mode.page, bandOpacity)
			check(see(look.InkText), ground, textContrast, "a phase's name")
			check(see(look.InkHistory), ground, textContrast, "never started")
			check(see(look.InkRun), ground, graphicContrast, "a bar and its outline")
			check(see(look.InkBad), ground, graphicContrast, "the bar of the root cause")
		}
	}
}
