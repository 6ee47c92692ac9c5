// Package goend tells which packages in an output of 'go test' have not ended.
package goend

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Package is one of which an output does not say how it ended.
type Package struct {
	Name string // "" = the output has no names
	Kind string // as types of red results are
	Why  string
}

// Lost are the packages that have begun, and not ended, and those that failed with nothing to show for it: of the red
// ones something is. In text one package comes after the other, and tests tell that it has begun.
func Lost(text []byte, isJSON bool, red map[string]bool) (out []Package) {
	open := map[string]bool{}
	cut := func(name string) {
		out = append(out, Package{name, "results-truncated", "the output ends before this package does"})
	}
	for line := range bytes.Lines(text) {
		e := readEvent(line, isJSON)
		switch ends := e.Test == "" && slices.Contains([]string{"pass", "fail", "skip"}, e.Action); {
		case ends:
			if e.Action == "fail" && !red[e.Package] {
				out = append(out, Package{e.Package, "declared", "the package failed, and its output does not say why"})
			}
			open[e.Package] = false
		case e.Action == "start":
			if open[e.Package] {
				cut(e.Package)
			}
			open[e.Package] = true
		case e.Test != "":
			open[e.Package] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(open)) {
		if open[name] {
			cut(name)
		}
	}
	return out
}

type event struct{ Action, Package, Test string }

// inText is what begins a test or says how one ended, and else what ends the output of a package or of its program.
var inText = regexp.MustCompile(`^(?:(=== RUN |--- (?:PASS|FAIL|SKIP): )|(?:PASS|FAIL)\r?\n?$|(?:ok  |FAIL)\t)`)

// readEvent is what a line says of a package or of a test in it, nothing if it does not.
func readEvent(line []byte, isJSON bool) (e event) {
	if isJSON {
		if json.Unmarshal(line, &e) != nil || strings.HasPrefix(e.Action, "build-") {
			return event{}
		}
	} else if m := inText.FindSubmatch(line); m != nil {
		e.Action, e.Test = "pass", string(m[1])
	}
	return e
}
