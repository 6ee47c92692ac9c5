package look

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
	InkText    = "#24292f"
	InkGrid    = "#d8dee4"
	InkAxis    = "#8c959f"
	InkHistory = "#57606a"
	InkBase    = "#0969da"
	InkBad     = "#cf222e"
	InkGood    = "#1a7f37"
	InkDoubt   = "#9a6700"
	InkWait    = "#cfe1f7"
	InkWaitBad = "#f9d3d5"
	InkRun     = "#2f6db3"
	InkBand    = "#eaeef2"
	InkBandAlt = "#d8dee4"
)

// Fonts follow Liberation Sans, with whose widths the text was laid out.
const Fonts = `Liberation Sans, Arial, Helvetica, sans-serif`

// Head opens a drawing of w × h. The title is what a screen reader says.
func Head(b *bytes.Buffer, w, h int, title string) {
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-labelledby="title">`+"\n", w, h, w, h)
	fmt.Fprintf(b, "<title id=\"title\">%s</title>\n", XMLText(title))
}

// XMLText is s as the text or the quoted attribute of an XML document: markup
// escaped, characters that XML 1.0 cannot hold replaced.
func XMLText(s string) string {
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
		case r != '\t' && r != '\n' && Unprintable(r):
			b.WriteRune('\ufffd')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Plain turns what vgsvg wrote into a drawing that Jenkins' policy shows:
// each declaration of a style attribute becomes a presentation attribute, and
// the head gets the title and a size in pixels. vgsvg escapes the quotes of its
// texts, so nothing in a text can look like an attribute.
func Plain(drawing []byte, w, h int, title string) []byte {
	var b bytes.Buffer
	Head(&b, w, h, title)
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
			value = Fonts
		case "font-variant", "font-weight", "font-style":
			if value == "none" || value == "normal" {
				continue
			}
		}
		fmt.Fprintf(&b, ` %s="%s"`, name, value)
	}
	return b.Bytes()
}
