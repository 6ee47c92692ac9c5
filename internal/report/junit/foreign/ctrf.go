package foreign

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
)

// ctrfTest is one test of a CTRF report, or one attempt of it.
type ctrfTest struct {
	Name     string          `json:"name"`
	Status   string          `json:"status"`
	Duration float64         `json:"duration"` // milliseconds
	Suite    json.RawMessage `json:"suite"`    // a string, or a list of nested ones
	Message  string          `json:"message"`
	Trace    string          `json:"trace"`
	File     string          `json:"filePath"`
	Line     int             `json:"line"`
	Retries  int             `json:"retries"`
	Flaky    bool            `json:"flaky"`
	Stdout   []string        `json:"stdout"`
	Stderr   []string        `json:"stderr"`
	Attempts []ctrfTest      `json:"retryAttempts"`
}

// ctrfReport is a CTRF report. Times are milliseconds since 1970.
type ctrfReport struct {
	Results *struct {
		Tool    struct{ Name string }
		Summary struct{ Tests, Failed, Skipped, Other, Start, Stop int }
		Tests   []ctrfTest
	}
}

// convertCTRF writes a CTRF report as one suite, with the totals that it declares.
func convertCTRF(f Format, text []byte, w io.Writer) error {
	var report ctrfReport
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&report); err != nil {
		return err
	}
	x := report.Results
	if x == nil {
		return errors.New("it has no results")
	}
	declared := junit.Counts{Tests: x.Summary.Tests, Failures: x.Summary.Failed, Errors: x.Summary.Other, Skipped: x.Summary.Skipped}
	s := junit.Suite{Name: cmp.Or(x.Tool.Name, string(f))}
	if start := x.Summary.Start; start > 0 {
		s.Attrs = []junit.Attr{{Name: "timestamp", Value: junit.Timestamp(time.UnixMilli(int64(start)))}}
		s.Time = max(0, time.Duration(x.Summary.Stop-start)*time.Millisecond)
	}
	out := junit.NewWriter(w)
	out.Begin(string(f), junit.Counts{}, 0)
	out.BeginSuite(&s, declared, s.Time)
	for i := range x.Tests {
		out.Case(x.Tests[i].toCase())
	}
	out.EndSuite(nil, nil)
	return out.End()
}

func (t *ctrfTest) toCase() *junit.Case {
	c := &junit.Case{Name: t.Name, Classname: t.class(), Time: time.Duration(t.Duration * float64(time.Millisecond)), SystemOut: fold.OneText(t.Stdout), SystemErr: fold.OneText(t.Stderr)}
	if t.File != "" {
		c.Attrs = append(c.Attrs, junit.Attr{Name: "file", Value: t.File})
	}
	if t.Line > 0 {
		c.Attrs = append(c.Attrs, junit.Attr{Name: "line", Value: strconv.Itoa(t.Line)})
	}
	s, kind := t.outcome()
	if s != junit.Passed {
		c.Results = []junit.Result{{Status: s, Type: kind, Message: t.Message, Text: t.Trace}}
	}
	passed := !s.Red()
	for i := range t.Attempts {
		a := &t.Attempts[i]
		if s, kind := a.outcome(); s != junit.Passed {
			c.Reruns = append(c.Reruns, junit.Rerun{
				Kind: fold.RerunKind(s, passed), Type: cmp.Or(kind, "attempt"), Message: a.Message, StackTrace: a.Trace,
				SystemOut: strings.Join(a.Stdout, "\n"), SystemErr: strings.Join(a.Stderr, "\n"),
			})
		}
	}
	if len(c.Reruns) == 0 && passed && (t.Flaky || t.Retries > 0) {
		c.Reruns = []junit.Rerun{{Kind: junit.FlakyFailure, Type: "attempt", Message: fmt.Sprintf("passed after %d retries; the file does not say more", t.Retries)}}
	}
	return c
}

// class is the suite of a test, or its file.
func (t *ctrfTest) class() string {
	var name string
	var path []string
	if json.Unmarshal(t.Suite, &name) != nil && json.Unmarshal(t.Suite, &path) == nil {
		name = strings.Join(path, ".")
	}
	return cmp.Or(name, t.File, "CTRF")
}

// outcome is the status of a test, and the type of a result that CTRF has no element for. One that is neither of those
// that CTRF knows is not a success.
func (t *ctrfTest) outcome() (s junit.Status, kind string) {
	switch t.Status {
	case "passed":
		return junit.Passed, ""
	case "failed":
		return junit.Failed, ""
	case "skipped":
		return junit.Skipped, ""
	case "pending":
		return junit.Skipped, "ctrf.pending"
	default:
		return junit.Errored, "ctrf." + cmp.Or(t.Status, "no-status")
	}
}
