package publish

import (
	"bytes"
	"fmt"
	"strings"
)

// Colours of the drawings, dark enough for text on them or in them to be read
// (WCAG AA, a test holds them to it). They are chosen for a light page; on a dark one
// report.css inverts the drawings and turns the hues back, so one file serves
// both (a style sheet inside an SVG is what the content security policy forbids).
const (
	inkText    = "#24292f"
	inkGrid    = "#d8dee4"
	inkAxis    = "#8c959f"
	inkHistory = "#57606a"
	inkBase    = "#0969da"
	inkBad     = "#cf222e"
	inkGood    = "#1a7f37"
	inkDoubt   = "#9a6700"
	inkWait    = "#cfe1f7"
	inkWaitBad = "#f9d3d5"
	inkRun     = "#2f6db3"
	inkBand    = "#eaeef2"
	inkBandAlt = "#d8dee4"
)

// svgFonts follow Liberation Sans, with whose widths the text was laid out.
const svgFonts = `Liberation Sans, Arial, Helvetica, sans-serif`

// svgHead opens a drawing of w × h. The title is what a screen reader says.
func svgHead(b *bytes.Buffer, w, h int, title string) {
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-labelledby="title">`+"\n", w, h, w, h)
	fmt.Fprintf(b, "<title id=\"title\">%s</title>\n", xmlText(title))
}

// xmlText is s as the text or the quoted attribute of an XML document: markup
// escaped, characters that XML 1.0 cannot hold replaced.
func xmlText(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case r == '"':
			b.WriteString("&#34;")
		case r == '\'':
			b.WriteString("&#39;")
		case r != '\t' && r != '\n' && unprintable(r):
			b.WriteRune('\ufffd')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// plainSVG turns what vgsvg wrote into a drawing that Jenkins' policy shows:
// each declaration of a style attribute becomes a presentation attribute, and
// the head gets the title and a size in pixels. vgsvg escapes the quotes of its
// texts, so nothing in a text can look like an attribute.
func plainSVG(drawing []byte, w, h int, title string) []byte {
	var b bytes.Buffer
	svgHead(&b, w, h, title)
	if i := bytes.Index(drawing, []byte("<svg")); i >= 0 {
		drawing = drawing[i:]
		drawing = drawing[bytes.IndexByte(drawing, '>')+1:]
	}
	drawing = bytes.TrimLeft(drawing, "\n")
	for {
		before, rest, ok := bytes.Cut(drawing, []byte(`style="`))
		if !ok {
			b.Write(drawing)
			return b.Bytes()
		}
		style, after, _ := bytes.Cut(rest, []byte(`"`))
		b.Write(bytes.TrimRight(before, " \t\n"))
		b.Write(presentation(string(style)))
		drawing = after
	}
}

// presentation is the declarations of a style as attributes. Those that draw
// nothing here are left out.
func presentation(style string) []byte {
	var b bytes.Buffer
	for d := range strings.SplitSeq(style, ";") {
		name, value, ok := strings.Cut(d, ":")
		if !ok {
			continue
		}
		switch name {
		case "font-family":
			value = svgFonts
		case "font-variant", "font-weight", "font-style":
			if value == "none" || value == "normal" {
				continue
			}
		}
		fmt.Fprintf(&b, ` %s="%s"`, name, value)
	}
	return b.Bytes()
}
