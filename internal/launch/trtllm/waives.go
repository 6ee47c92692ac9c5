package trtllm

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// waive is one line of a waives file.
type waive struct {
	entry
	platform string // full:<platform>/…: the line holds for that GPU or SM only
}

// parseWaives reads upstream's form: an id, or a file, a folder or an id without
// brackets, which stand for everything below them, then SKIP (reason). The file is
// everybody's: lines without SKIP, and ids with arguments of pytest behind them
// (unittest/x -m "gpu4"), are about other tests and no mistakes.
func parseWaives(file string, data []byte) ([]waive, Problems) {
	if len(data) > maxList {
		return nil, Problems{{File: file, Text: fmt.Sprintf("%d bytes is more than a waives file can have (%d)", len(data), maxList)}}
	}
	var out []waive
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		at := skipWord.FindStringIndex(line)
		if at == nil || at[0] == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		reason, _, _ := parens(strings.TrimSpace(line[at[1]:]))
		w := waive{entry: entry{
			id: strings.TrimSpace(line[:at[0]]), file: file, line: i + 1, skip: orDefault(strings.TrimSpace(reason), "no reason given"),
		}}
		if rest, ok := strings.CutPrefix(w.id, "full:"); ok {
			w.platform, w.id, _ = strings.Cut(rest, "/")
		}
		if w.id != "" {
			out = append(out, w)
		}
	}
	return out, nil
}

// skipWord is SKIP behind the id of a waive.
var skipWord = regexp.MustCompile(`\sSKIP\b`)

func (w waive) covers(id, gpuType string) bool {
	if w.platform != "" && !wildcard(w.platform, gpuType) {
		return false
	}
	return id == w.id || strings.HasPrefix(id, w.id+"[") || strings.HasPrefix(id, w.id+"::") ||
		strings.HasPrefix(id, strings.TrimSuffix(w.id, "/")+"/")
}

// knownFailures checks the list and gives those entries that still count today.
func knownFailures(list []KnownFailure, file, today string) (active []KnownFailure, warnings []string, problems Problems) {
	for i, k := range list {
		key := fmt.Sprintf("workload.known_failures[%d]", i)
		bad := func(field, text string) {
			problems = append(problems, Problem{File: file, Key: key + "." + field, Text: text})
		}
		if k.Test == "" {
			bad("test", "missing: the test id, * stands for any text")
		}
		if k.Bug == "" {
			bad("bug", "missing: where the failure is tracked")
		}
		if _, err := time.Parse(time.DateOnly, k.Expires); err != nil {
			bad("expires", fmt.Sprintf("%q is not a day such as 2027-01-31: a known failure must end some day", k.Expires))
			continue
		}
		if today != "" && k.Expires < today {
			warnings = append(warnings, fmt.Sprintf("%s: known failure of %s (%s) expired on %s and no longer counts", file, k.Test, k.Bug, k.Expires))
			continue
		}
		active = append(active, k)
	}
	return active, warnings, problems
}
