package foreign

import (
	"cmp"
	"encoding/json"
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

// ctrfSummary is what a CTRF report declares. Times are milliseconds since 1970.
type ctrfSummary struct {
	Tests, Failed, Skipped, Other, Start, Stop int64
}

// readCTRF reads a CTRF report test by test, so that what was complete survives a
// file that is cut off.
func readCTRF(r io.Reader) ([]*suite, error) {
	d := json.NewDecoder(r)
	c := ctrf{one: &suite{}}
	err := c.object(d, func(key string) error {
		if key != "results" {
			return skip(d)
		}
		return c.object(d, func(key string) error { return c.result(d, key) })
	})
	s := c.one
	s.suite.Name = cmp.Or(s.suite.Name, "CTRF")
	s.declared = junit.Counts{Tests: int(c.summary.Tests), Failures: int(c.summary.Failed), Errors: int(c.summary.Other), Skipped: int(c.summary.Skipped)}
	if start := c.summary.Start; start > 0 {
		s.suite.Attrs = []junit.Attr{{Name: "timestamp", Value: junit.Timestamp(time.UnixMilli(start))}}
		s.suite.Time = max(0, time.Duration(c.summary.Stop-start)*time.Millisecond)
	}
	return []*suite{s}, err
}

type ctrf struct {
	one     *suite
	summary ctrfSummary
}

// object reads an object whose values field reads.
func (c *ctrf) object(d *json.Decoder, field func(key string) error) error {
	if err := delim(d, '{'); err != nil {
		return err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		if err := field(fmt.Sprint(key)); err != nil {
			return err
		}
	}
	return delim(d, '}')
}

// result reads a field of "results".
func (c *ctrf) result(d *json.Decoder, key string) error {
	switch key {
	case "tool":
		var tool struct{ Name string }
		err := d.Decode(&tool)
		c.one.suite.Name = tool.Name
		return err
	case "summary":
		return d.Decode(&c.summary)
	case "tests":
		if err := delim(d, '['); err != nil {
			return err
		}
		for d.More() {
			var t ctrfTest
			if err := d.Decode(&t); err != nil {
				return err
			}
			c.one.cases = append(c.one.cases, t.toCase())
		}
		return delim(d, ']')
	default:
		return skip(d)
	}
}

func skip(d *json.Decoder) error {
	var value json.RawMessage
	return d.Decode(&value)
}

func delim(d *json.Decoder, want json.Delim) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	if t != want {
		return fmt.Errorf("%v where %v was expected", t, want)
	}
	return nil
}

func (t *ctrfTest) toCase() *junit.Case {
	c := &junit.Case{Name: t.Name, Classname: t.class(), Time: time.Duration(t.Duration * float64(time.Millisecond)), SystemOut: joined(t.Stdout), SystemErr: joined(t.Stderr)}
	if t.File != "" {
		c.Attrs = append(c.Attrs, junit.Attr{Name: "file", Value: t.File})
	}
	if t.Line > 0 {
		c.Attrs = append(c.Attrs, junit.Attr{Name: "line", Value: strconv.Itoa(t.Line)})
	}
	if s := t.outcome(); s != junit.Passed {
		c.Results = []junit.Result{{Status: s, Type: t.kind(), Message: t.Message, Text: t.Trace}}
	}
	passed := !c.Status().Red()
	for i := range t.Attempts {
		a := &t.Attempts[i]
		if s := a.outcome(); s != junit.Passed {
			c.Reruns = append(c.Reruns, junit.Rerun{
				Kind: fold.RerunKind(s, passed), Type: cmp.Or(a.kind(), "attempt"), Message: a.Message, StackTrace: a.Trace,
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

// outcome is the status of a test. One that is neither of those that CTRF knows is
// not a success.
func (t *ctrfTest) outcome() junit.Status {
	switch t.Status {
	case "passed":
		return junit.Passed
	case "skipped", "pending":
		return junit.Skipped
	case "failed":
		return junit.Failed
	default:
		return junit.Errored
	}
}

// kind is the type of a result that CTRF has no element for.
func (t *ctrfTest) kind() string {
	switch t.Status {
	case "passed", "skipped", "failed":
		return ""
	default:
		return "ctrf." + cmp.Or(t.Status, "no-status")
	}
}

func joined(lines []string) []string {
	if len(lines) == 0 {
		return nil
	}
	return []string{strings.Join(lines, "\n")}
}
