package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
)

// recorded is the file of the H200 sessions: one row per repetition.
type recorded struct {
	Columns []string `json:"columns"`
	Rows    [][]any  `json:"rows"`
}

// measured are the metrics of the file that gate by default.
func measured() []paired.Series {
	return []paired.Series{
		{Key: "output_tok_s", Sign: -1, MinEffect: 0.02},
		{Key: "tpot_median_ms", Sign: 1, MinEffect: 0.02},
		{Key: "ttft_median_ms", Sign: 1, MinEffect: 0.05},
	}
}

// printRecorded cuts the sessions of the H200 into pairs of neighbours within one
// server start: unchanged against unchanged, and against one and three extra
// layers (about 2.6 and 8 % more work). Signs and intervals; too few for power.
func printRecorded(w io.Writer, dir string) error {
	raw, err := os.ReadFile(filepath.Join(dir, "h200_sessions.json"))
	if err != nil {
		return err
	}
	var file recorded
	if err := json.Unmarshal(raw, &file); err != nil {
		return err
	}
	fmt.Fprint(w, "## Recorded sessions, pairs within one server start\n\n")
	fmt.Fprintln(w, "| B | session | pairs | verdict | series | worse by (5..95 %) |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|")
	policy := paired.Policy{Series: measured(), Cases: 1}
	names := map[string]string{"a": "unchanged", "s": "one layer", "l": "three layers"}
	for _, start := range file.starts() {
		kind, pairs := start.pairs()
		if len(pairs) < paired.MinPairs {
			continue
		}
		got := paired.Conclude(pairs, policy)
		for _, e := range got.Series {
			fmt.Fprintf(w, "| %s | %d | %d | %s after %d | %s | %+.2f %% (%+.2f..%+.2f) |\n",
				names[kind], start.session, len(pairs), got.Word, got.Pairs, e.Key, 100*e.Effect, 100*e.Interval[0], 100*e.Interval[1])
			if kind == "l" && e.Key == "tpot_median_ms" && e.Interval[0] <= 0 {
				return errors.New("three extra layers were not seen")
			}
		}
	}
	fmt.Fprintln(w)
	return nil
}

// start is one server start.
type start struct {
	session int
	kinds   []string
	runs    []paired.Run
}

func (f recorded) starts() []start {
	column := func(name string) int { return slices.Index(f.Columns, name) }
	var out []start
	for _, r := range f.Rows {
		session := int(r[column("session")].(float64))
		kind := r[column("kind")].(string)
		if kind == "warm" {
			continue
		}
		if len(out) == 0 || out[len(out)-1].session != session {
			out = append(out, start{session: session})
		}
		at := &out[len(out)-1]
		values := map[string]float64{}
		for _, s := range measured() {
			values[s.Key], _ = r[column(s.Key)].(float64)
		}
		at.kinds = append(at.kinds, kind)
		at.runs = append(at.runs, paired.Run{Values: values})
	}
	return out
}

// pairs are the neighbours A B or B A of one start; in an unchanged one every
// second run stands for B, in turn.
func (s start) pairs() (kind string, out []paired.Pair) {
	kind = "a"
	for i := 0; i+1 < len(s.runs); i += 2 {
		first, second := s.kinds[i], s.kinds[i+1]
		switch {
		case first == "a" && second != "a":
			kind = second
			out = append(out, paired.Pair{A: s.runs[i], B: s.runs[i+1]})
		case first != "a" && second == "a":
			kind = first
			out = append(out, paired.Pair{A: s.runs[i+1], B: s.runs[i]})
		case first == "a" && i%4 == 0:
			out = append(out, paired.Pair{A: s.runs[i], B: s.runs[i+1]})
		case first == "a":
			out = append(out, paired.Pair{A: s.runs[i+1], B: s.runs[i]})
		}
	}
	return kind, out
}
