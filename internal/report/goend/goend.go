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

// Lost are the packages that have begun, and not ended, and those that failed with nothing to show for it. In text one
// package comes after the other, and tests tell that it has begun.
func Lost(text []byte, isJSON bool) (out []Package) {
	type state struct{ open, red bool }
	packages := map[string]state{}
	cut := func(name string) {
		out = append(out, Package{name, "results-truncated", "the output ends before this package does"})
	}
	for line := range bytes.Lines(text) {
		e := readEvent(line, isJSON)
		now := packages[e.Package]
		switch ends := e.Test == "" && slices.Contains([]string{"pass", "fail", "skip"}, e.Action); {
		case ends:
			if e.Action == "fail" && !now.red {
				out = append(out, Package{e.Package, "declared", "the package failed, and its output does not say why"})
			}
			now = state{}
		case e.Action == "start":
			if now.open {
				cut(e.Package)
			}
			now = state{open: true}
		default:
			now = state{now.open || e.Test != "", now.red || e.Action == "fail" || strings.HasPrefix(e.Output, "FAIL\t"+e.Package)}
		}
		packages[e.Package] = now
	}
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		if packages[name].open {
			cut(name)
		}
	}
	return out
}

type event struct{ Action, Package, Test, Output string }

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
