package main

import (
	"io"

	"github.com/ci-disagg/ci-disagg/internal/report/publish/tables"
	"golang.org/x/term"
)

// liveTable says whether a table is shown: both outputs are a terminal that can
// move its cursor. The roles' output then stays in their logs.
func liveTable(h host) bool {
	return isTerminal(h.stderr) && isTerminal(h.stdout) && h.getenv("TERM") != "dumb" && h.getenv("CI") == "" && h.getenv("BUILD_TAG") == ""
}

// colours says whether w may be written to in colour: a terminal, and nobody who
// runs us has set NO_COLOR (no-color.org: to anything but the empty string).
func colours(h host, w io.Writer) bool {
	return h.getenv("NO_COLOR") == "" && h.getenv("TERM") != "dumb" && isTerminal(w)
}

// terminalSize is the size of the terminal that w is, 80 × 24 where it does not
// say.
func terminalSize(w io.Writer) (width, height int) {
	if f := file(w); f != nil {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width, height
		}
	}
	return 80, 24
}

func isTerminal(w io.Writer) bool {
	f := file(w)
	return f != nil && term.IsTerminal(int(f.Fd()))
}

// printer prints tables on stdout.
func printer(h host) tables.Printer {
	return tables.Printer{W: h.stdout, Colour: colours(h, h.stdout)}
}
