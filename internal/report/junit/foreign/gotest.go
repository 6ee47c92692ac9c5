package foreign

import (
	"bytes"
	"io"
	"time"

	jr "github.com/jstemmer/go-junit-report/v2/junit"
	"github.com/jstemmer/go-junit-report/v2/parser/gotest"

	"github.com/ci-disagg/ci-disagg/internal/report/goend"
)

// convertGo has go-junit-report read the output of 'go test' and write it. It reads lines, and asks neither whether a
// package has ended nor what an event says without one. What XML forbids is left to the reader of what is written.
func convertGo(f Format, text []byte, w io.Writer) error {
	untimed := gotest.TimestampFunc(func() time.Time { return time.Time{} }) // the time of reading says nothing
	parse := gotest.NewParser(untimed).Parse
	if f == GoJSON {
		parse = gotest.NewJSONParser(untimed).Parse
	}
	report, err := parse(bytes.NewReader(text))
	if err != nil {
		return err
	}
	suites := jr.CreateFromReport(report, "")
	red := map[string]bool{}
	for _, s := range suites.Suites {
		red[s.Name] = red[s.Name] || s.Failures+s.Errors > 0
	}
	for _, p := range goend.Lost(text, f == GoJSON, red) {
		s := jr.Testsuite{Name: p.Name, ID: len(suites.Suites)}
		s.AddTestcase(jr.Testcase{Classname: p.Name, Name: "(package)", Error: &jr.Result{Type: "ci-disagg." + p.Kind, Message: p.Why}})
		suites.AddSuite(s)
	}
	return suites.WriteXML(w)
}
