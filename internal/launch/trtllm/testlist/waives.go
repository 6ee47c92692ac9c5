package testlist

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm/document"
)

// Waive is one line of a waives file.
type Waive struct {
	Entry
	platform string // full:<platform>/…: the line holds for that GPU or SM only
}

// ParseWaives reads upstream's form: an id, or a file, a folder or an id without
// brackets, which stand for everything below them, then SKIP (reason). The file is
// everybody's: lines without SKIP, and ids with arguments of pytest behind them
// (unittest/x -m "gpu4"), are about other tests and no mistakes.
func ParseWaives(file string, data []byte) ([]Waive, document.Problems) {
	if len(data) > maxList {
		return nil, document.Problems{{File: file, Text: fmt.Sprintf("%d bytes is more than a waives file can have (%d)", len(data), maxList)}}
	}
	var out []Waive
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		at := skipWord.FindStringIndex(line)
		if at == nil || at[0] == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		reason, _, _ := parens(strings.TrimSpace(line[at[1]:]))
		w := Waive{Entry: Entry{
			ID: strings.TrimSpace(line[:at[0]]), File: file, Line: i + 1, Skip: cmp.Or(strings.TrimSpace(reason), "no reason given"),
		}}
		if rest, ok := strings.CutPrefix(w.ID, "full:"); ok {
			w.platform, w.ID, _ = strings.Cut(rest, "/")
		}
		if w.ID != "" {
			out = append(out, w)
		}
	}
	return out, nil
}

// skipWord is SKIP behind the id of a waive.
var skipWord = regexp.MustCompile(`\sSKIP\b`)

// Covers reports whether the line is about a test on a cluster with such GPUs.
func (w Waive) Covers(id, gpuType string) bool {
	if w.platform != "" && !Match(w.platform, gpuType) {
		return false
	}
	return id == w.ID || strings.HasPrefix(id, w.ID+"[") || strings.HasPrefix(id, w.ID+"::") ||
		strings.HasPrefix(id, strings.TrimSuffix(w.ID, "/")+"/")
}
