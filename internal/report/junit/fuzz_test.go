package junit

import (
	"bytes"
	"errors"
	"testing"

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
	f.Add([]byte("<testsuite><testcase><testcase name='in'/><foo><failure/></foo></testcase></testsuite>"))
	f.Add([]byte("<testsuite><testcase name='a\x1b[31m' classname='&#x1B;&lt;'><failure message='\r\n'>]]&gt;</failure></testcase>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, cases, _, err := readAll(bytes.NewReader(data), ReadOptions{MaxCase: 1 << 20, MaxBytes: 1 << 22})
		var p *Problem
		if err != nil && !errors.As(err, &p) {
			t.Fatalf("not a problem of the file: %v", err)
		}
		require.Len(t, cases, file.Counts.Tests)
		shallowAgree(t, data, cases)
		again := rewritten(t, cases)
		require.Len(t, again, len(cases))
		for i := range cases {
			require.Equal(t, normal(cases[i]), normal(again[i]))
		}
	})
}

// shallowAgree holds what Read tells of cases that may be shallow against their values:
// the same cases, and the bytes of a shallow one give it again, to every reader.
func shallowAgree(t *testing.T, data []byte, cases []*Case) {
	t.Helper()
	n := 0
	f, err := Read(bytes.NewReader(data), "x", ReadOptions{MaxCase: 1 << 20, MaxBytes: 1 << 22}, Visitor{Shallow: true, Case: func(s *Case) error {
		want := *cases[n]
		n++
		want.Suite = s.Suite // another reading's
		if s.Raw == nil {
			require.Equal(t, want, *s)
			return nil
		}
		require.Equal(t, want.Status(), s.Status())
		require.Equal(t, [2]string{want.Name, want.Classname}, [2]string{s.Name, s.Classname})
		require.Equal(t, len(want.Attrs)+len(want.Properties), len(s.Attrs)+len(s.Properties))
		plainAgrees(t, bytes.Clone(s.Raw), &want)
		return nil
	}})
	if err != nil {
		var p *Problem
		require.ErrorAs(t, err, &p)
	}
	require.Equal(t, n, f.Counts.Tests)
	deep, _, _, _ := readAll(bytes.NewReader(data), ReadOptions{MaxCase: 1 << 20, MaxBytes: 1 << 22})
	require.Equal(t, deep.Repaired, f.Repaired)
}

// plainAgrees: a plain case is the same to every reader.
func plainAgrees(t *testing.T, span []byte, c *Case) {
	t.Helper()
	var doc bytes.Buffer
	w := NewWriter(&doc)
	w.Begin("x", Counts{}, 0)
	w.BeginSuite(&Suite{Name: "s"}, Counts{}, 0)
	w.Raw(span)
	w.EndSuite(nil, nil)
	require.NoError(t, w.End())
	require.NoError(t, Audit(bytes.NewReader(doc.Bytes()), func(yield func(Decision) bool) {
		yield(Decision{"s", c.Classname, c.Name, c.Status()})
	}))
	f, again, _, err := readAll(&doc, ReadOptions{})
	require.NoError(t, err)
	require.Zero(t, f.Repaired)
	one, err := ReadCase(span)
	require.NoError(t, err)
	for _, got := range []*Case{again[0], one} {
		got.Suite, got.Offset = c.Suite, c.Offset
		require.Equal(t, c, got)
	}
}

// rewritten writes cases and reads them back.
func rewritten(t *testing.T, cases []*Case) []*Case {
	t.Helper()
	var doc bytes.Buffer
	d := &Document{Name: "x", Suites: []DocumentSuite{{Suite: Suite{Name: "s"}, Cases: cases}}}
	_, err := WriteDocument(&doc, d)
	require.NoError(t, err)
	file, again, suites, err := readAll(&doc, ReadOptions{})
	require.NoError(t, err)
	require.True(t, file.Ours)
	require.Zero(t, file.Repaired)
	require.Equal(t, d.Counts(), file.Counts)
	require.Len(t, suites, 1)
	return again
}

// normal is a case as it is after one round: names that XML takes, without the
// place where it stood.
func normal(c *Case) Case {
	n := *c
	n.Suite, n.Offset, n.Results = nil, 0, nil
	n.Attrs = normalAttrs(c.Attrs)
	for _, r := range c.Results {
		r.Attrs = normalAttrs(r.Attrs)
		n.Results = append(n.Results, r)
	}
	return n
}

func normalAttrs(attrs []Attr) []Attr {
	var out []Attr
	for _, a := range attrs {
		out = addAttr(out, Attr{xmlName(a.Name), a.Value})
	}
	return out
}
