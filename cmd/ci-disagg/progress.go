package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/ci-disagg/ci-disagg/internal/launch/drive"
)

// printUpdate writes one change as a plain line with its time, as CI logs want.
func printUpdate(w io.Writer, u drive.Update) {
	where := "run"
	if u.Case != "" {
		where = shortCase(u.Case)
	}
	if u.Rep > 0 {
		where += fmt.Sprintf(" rep %d", u.Rep)
	}
	if u.Attempt > 1 {
		where += fmt.Sprintf(" attempt %d", u.Attempt)
	}
	if u.JobID != "" {
		where += " job " + u.JobID
	}
	fmt.Fprintf(w, "%s %s: %s\n", u.At.UTC().Format("15:04:05"), where, u.Text)
}

// colours says whether w may be written to in colour: a terminal, and nobody who
// runs us has set NO_COLOR (no-color.org: to anything but the empty string).
func colours(h host, w io.Writer) bool {
	return h.getenv("NO_COLOR") == "" && h.getenv("TERM") != "dumb" && isTerminal(w)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// shortCase is what tells a case from its neighbours: the text in the brackets
// of a pytest id.
func shortCase(id string) string {
	_, param, ok := strings.Cut(id, "[")
	if param = strings.TrimSuffix(param, "]"); !ok || param == "" {
		return id
	}
	return param
}
