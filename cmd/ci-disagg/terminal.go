package main

import (
	"io"

	"github.com/ci-disagg/ci-disagg/internal/report/publish"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/tables"
	"github.com/ci-disagg/ci-disagg/internal/terminal"
)

// liveTable reports whether a table is shown: both outputs are a terminal that can
// move its cursor. The roles' output then stays in their logs.
func liveTable(h host) bool {
	return terminal.Is(h.stderr) && terminal.Is(h.stdout) && h.getenv("TERM") != "dumb" && h.getenv("CI") == "" && h.getenv("BUILD_TAG") == ""
}

// colours reports whether w may be written to in colour: a terminal, and nobody who
// runs us has set NO_COLOR (no-color.org: to anything but the empty string).
func colours(h host, w io.Writer) bool {
	return h.getenv("NO_COLOR") == "" && h.getenv("TERM") != "dumb" && terminal.Is(w)
}

// printer prints tables on stdout.
func printer(h host) tables.Printer {
	return tables.Printer{W: h.stdout, Colour: colours(h, h.stdout)}
}

// consoleStyle is how the end of a run looks on stdout.
func consoleStyle(h host) publish.Style {
	s := publish.Style{Colour: colours(h, h.stdout)}
	if terminal.Is(h.stdout) {
		s.Width, _ = terminal.Size(h.stdout)
	}
	return s
}
