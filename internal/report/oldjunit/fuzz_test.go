package junit

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzRead: whatever the input, Read neither panics nor fails in another way than
// by a Problem, counts agree with what it visits, and what it visited is written
// in a form that reads back as the same.
func FuzzRead(f *testing.F) {
	for _, e := range corpus(f) {
		if data := e.bytes(f); len(data) < 20_000 {
			f.Add(data)
		}
	}
	f.Add([]byte("<testsuite><testcase name='a\x1b[31m' classname='&#x1B;&lt;'><failure message='\r\n'>]]&gt;</failure></testcase>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, cases, _, err := readAll(bytes.NewReader(data), ReadOptions{MaxCase: 1 << 20, MaxBytes: 1 << 22})
		var p *Problem
		if err != nil && !errors.As(err, &p) {
			t.Fatalf("not a problem of the file: %v", err)
		}
		require.Len(t, cases, file.Counts.Tests)
		again := rewritten(t, cases)
		require.Len(t, again, len(cases))
		for i := range cases {
			require.Equal(t, normal(cases[i]), normal(again[i]))
		}
	})
}

// rewritten writes cases and reads them back.
func rewritten(t *testing.T, cases []*Case) []*Case {
	t.Helper()
	var spool, doc bytes.Buffer
	enc := NewCaseEncoder(&spool, WriteOptions{})
	var counts Counts
	for _, c := range cases {
		require.NoError(t, enc.Encode(c))
		counts.Add(c.Status())
	}
	require.NoError(t, enc.Flush())
	d := Document{Name: "x", Counts: counts, Suites: []SuiteBlock{{
		Suite: Suite{Name: "s"}, Counts: counts,
		Cases: func(w io.Writer) error { _, err := w.Write(spool.Bytes()); return err },
	}}}
	require.NoError(t, WriteDocument(&doc, d, WriteOptions{}))
	file, again, suites, err := readAll(&doc, ReadOptions{})
	require.NoError(t, err)
	require.Zero(t, file.Repaired)
	require.Equal(t, counts, file.Counts)
	require.Len(t, suites, 1)
	return again
}

// normal is a case as it is after one round: clean text, whole milliseconds,
// names that XML takes.
func normal(c *Case) Case {
	n := *c
	n.Suite, n.Offset = nil, 0
	n.Name, n.Classname, n.Time = Clean(c.Name), Clean(c.Classname), c.Time.Round(time.Millisecond)
	n.Attrs = normalAttrs(c.Attrs)
	n.Properties, n.Results, n.Reruns, n.Extra = nil, nil, nil, nil
	for _, p := range c.Properties {
		n.Properties = append(n.Properties, Property{Clean(p.Name), Clean(p.Value)})
	}
	for _, r := range c.Results {
		n.Results = append(n.Results, Result{r.Status, Clean(r.Message), Clean(r.Type), Clean(r.Text), normalAttrs(r.Attrs)})
	}
	for _, r := range c.Reruns {
		n.Reruns = append(n.Reruns, Rerun{r.Kind, Clean(r.Message), Clean(r.Type), Clean(r.StackTrace), Clean(r.SystemOut), Clean(r.SystemErr)})
	}
	for _, e := range c.Extra {
		n.Extra = append(n.Extra, Extra{xmlName(e.Name), normalAttrs(e.Attrs), Clean(e.Text)})
	}
	n.SystemOut, n.SystemErr = cleanAll(c.SystemOut), cleanAll(c.SystemErr)
	return n
}

func normalAttrs(attrs []Attr) []Attr {
	var out []Attr
	for _, a := range xmlAttrs(attrs) {
		out = append(out, Attr{a.Name.Local, a.Value})
	}
	return out
}

func cleanAll(texts []string) []string {
	var out []string
	for _, t := range texts {
		out = append(out, Clean(t))
	}
	return out
}

// FuzzClean: what Clean gives is clean, and stays as it is.
func FuzzClean(f *testing.F) {
	f.Add("a\x1b[31mb#x1B[0m\x00\xff\u009b1m")
	f.Add(strings.Repeat("#x1B", 3) + "[0m")
	f.Fuzz(func(t *testing.T, s string) {
		out := Clean(s)
		require.Equal(t, out, Clean(out))
		for _, r := range out {
			require.True(t, legal(r) && r != 0x7F && r != '\r', "%q", r)
		}
	})
}
