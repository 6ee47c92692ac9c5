package foreign

import (
	"io"
	"time"

	jr "github.com/jstemmer/go-junit-report/v2/junit"
	"github.com/jstemmer/go-junit-report/v2/parser/gotest"
)

// convertGo has go-junit-report read the output of 'go test' and write it. A test that has begun and not ended, and a
// package that does not build, are red there. What XML forbids is left to the reader of what is written.
func convertGo(f Format, r io.Reader, w io.Writer) error {
	untimed := gotest.TimestampFunc(func() time.Time { return time.Time{} }) // the time of reading says nothing
	parse := gotest.NewParser(untimed).Parse
	if f == GoJSON {
		parse = gotest.NewJSONParser(untimed).Parse
	}
	report, err := parse(r)
	if err != nil {
		return err
	}
	suites := jr.CreateFromReport(report, "")
	return suites.WriteXML(w)
}
