package bench

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/jsondoc"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// maxCSV bounds a CSV file: one row per metric and point never gets near it, and a quote that is never closed would
// otherwise swallow any file.
const maxCSV = 16 << 20

// looksLikePerfCSV recognises perf_script_test_results.csv by its header.
func looksLikePerfCSV(head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte{'\n'})
	return bytes.Contains(line, []byte("perf_metric")) && bytes.Contains(line, []byte("metric_type")) && bytes.Contains(line, []byte(","))
}

// csvReader reads a CSV file with a header.
type csvReader struct {
	r      *csv.Reader
	header []string
	lines  int  // where the last row began
	whole  bool // its last line has an end
}

func newCSV(r io.Reader) (*csvReader, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxCSV+1))
	if err == nil && len(data) > maxCSV {
		err = fmt.Errorf("larger than %d MB", maxCSV>>20)
	}
	if err != nil {
		return nil, err
	}
	c := &csvReader{r: csv.NewReader(bytes.NewReader(data)), whole: bytes.HasSuffix(data, []byte{'\n'})}
	c.r.FieldsPerRecord = -1
	row, err := c.next()
	for _, cell := range row {
		c.header = append(c.header, strings.TrimSpace(cell))
	}
	return c, err
}

// rows yields those behind the header, without its repetitions, up to an error.
func (c *csvReader) rows() iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		for {
			row, err := c.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err == nil && slices.Equal(row, c.header) {
				continue
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// next is the next row. A row of another length than the header is an error: it is torn, or two writers met in it.
func (c *csvReader) next() ([]string, error) {
	row, err := c.r.Read()
	var syntax *csv.ParseError
	if errors.As(err, &syntax) {
		return nil, &jsondoc.Fault{Line: syntax.Line, Text: "CSV: " + syntax.Err.Error()}
	}
	if err != nil {
		return nil, err
	}
	c.lines, _ = c.r.FieldPos(0)
	if c.header != nil && len(row) != len(c.header) {
		return nil, &jsondoc.Fault{Line: c.lines, Text: fmt.Sprintf("%d columns instead of %d: half-written, or two writers at once", len(row), len(c.header))}
	}
	return row, nil
}

// perfTable reads perf_script_test_results.csv: one row per metric, appended by every test. The value stands in
// perf_metric, the metric in metric_type, the point in test_name (<id>_con:<N>).
type perfTable struct {
	metrics                  metric.Table
	file                     string
	value, kind, test, state int // columns; state -1 = there is none
	results                  []Result
	last                     map[string]int // test name → its latest result
}

func (rd Reader) readPerfCSV(br *bufio.Reader, file string) ([]Result, error) {
	c, err := newCSV(br)
	if err != nil {
		return nil, err
	}
	column := func(name string) int { return slices.Index(c.header, name) }
	t := perfTable{
		metrics: rd.Metrics, file: file, last: map[string]int{},
		value: column("perf_metric"), kind: column("metric_type"), test: column("test_name"), state: column("state"),
	}
	if t.value < 0 || t.kind < 0 || t.test < 0 {
		return nil, &jsondoc.Fault{Line: 1, Text: "CSV: perf_metric, metric_type or test_name is not among the columns"}
	}
	for row, err := range c.rows() {
		if err != nil {
			return t.results, err
		}
		t.row(row, c.lines)
	}
	if !c.whole {
		err = &jsondoc.Fault{Line: c.lines, Text: "CSV: the last line has no end: half-written"}
	}
	return t.results, err
}

func (t *perfTable) row(row []string, line int) {
	test := row[t.test]
	i, ok := t.last[test]
	m, known := t.metrics.Resolve(row[t.kind])
	if ok && known {
		_, measured := t.results[i].Value(m.Name)
		ok = !measured // the same again: another run of the test
	}
	if !ok {
		t.results = added(t.results, Result{Format: FormatPerfCSV, File: t.file, Line: line, Point: rundir.Point{Name: test, Concurrency: concurrencyOf(test)}})
		i = len(t.results) - 1
		t.last[test] = i
	}
	r := &t.results[i]
	if known {
		v, _ := parseNumber(row[t.value])
		r.Add(m, v, line)
	}
	if t.state >= 0 && row[t.state] != "valid" && row[t.state] != "" {
		r.spoil(line, "state is %q, not valid", row[t.state])
	}
}

var concurrencySuffix = regexp.MustCompile(`[_-]con[:-]([0-9]{1,9})$`)

func concurrencyOf(testName string) int {
	if g := concurrencySuffix.FindStringSubmatch(testName); g != nil {
		return small([]byte(g[1]))
	}
	return 0
}
