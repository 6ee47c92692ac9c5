package foreign

import (
	"io"
	"time"

	jr "github.com/jstemmer/go-junit-report/v2/junit"
	"github.com/jstemmer/go-junit-report/v2/parser/gotest"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
)

// readGo has go-junit-report read the output of 'go test'. A test that has begun
// and not ended, and a package that does not build, are red there.
func readGo(f Format, r io.Reader) ([]*suite, error) {
	untimed := gotest.TimestampFunc(func() time.Time { return time.Time{} }) // the time of reading says nothing
	parse := gotest.NewParser(untimed).Parse
	if f == GoJSON {
		parse = gotest.NewJSONParser(untimed).Parse
	}
	report, err := parse(r)
	if err != nil {
		return nil, err
	}
	var out []*suite
	for _, s := range jr.CreateFromReport(report, "").Suites {
		out = append(out, goSuite(&s))
	}
	return out, nil
}

func goSuite(s *jr.Testsuite) *suite {
	out := &suite{
		suite:    junit.Suite{Name: s.Name, Time: junit.ParseTime(s.Time), SystemOut: output(s.SystemOut), SystemErr: output(s.SystemErr)},
		declared: junit.Counts{Tests: s.Tests, Failures: s.Failures, Errors: s.Errors, Skipped: s.Skipped},
	}
	if s.Properties != nil {
		out.suite.Properties = *s.Properties
	}
	if s.Timestamp != "" {
		out.suite.Attrs = []junit.Attr{{Name: "timestamp", Value: s.Timestamp}}
	}
	for i := range s.Testcases {
		t := &s.Testcases[i]
		c := &junit.Case{Name: t.Name, Classname: t.Classname, Time: junit.ParseTime(t.Time), SystemOut: output(t.SystemOut), SystemErr: output(t.SystemErr)}
		for _, one := range []struct {
			status junit.Status
			result *jr.Result
		}{{junit.Errored, t.Error}, {junit.Failed, t.Failure}, {junit.Skipped, t.Skipped}} {
			if r := one.result; r != nil {
				c.Results = append(c.Results, junit.Result{Status: one.status, Message: r.Message, Type: r.Type, Text: r.Data})
			}
		}
		out.cases = append(out.cases, c)
	}
	return out
}

func output(o *jr.Output) []string {
	if o == nil || o.Data == "" {
		return nil
	}
	return []string{o.Data}
}
