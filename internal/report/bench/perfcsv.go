package bench

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"sync"
)

// maxCSV bounds a CSV file: one row per metric and point never gets near it,
// and a quote that is never closed would otherwise swallow any file.
const maxCSV = 16 << 20

// looksLikePerfCSV recognises perf_script_test_results.csv by its header.
func looksLikePerfCSV(head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte{'\n'})
	return bytes.Contains(line, []byte("perf_metric")) && bytes.Contains(line, []byte("metric_type")) && bytes.Contains(line, []byte(","))
}

// csvReader yields rows with their line.
type csvReader struct {
	r      *csv.Reader
	in     *capped
	header []string
	lines  int // where the last row began
}

func newCSV(r io.Reader) (*csvReader, error) {
	in := &capped{r: r, left: maxCSV}
	c := &csvReader{r: csv.NewReader(in), in: in}
	c.r.FieldsPerRecord = -1
	row, err := c.next()
	if err != nil {
		return nil, err
	}
	for _, cell := range row {
		c.header = append(c.header, string(bytes.TrimSpace([]byte(cell))))
	}
	return c, nil
}

// next is the next row. A row of another length than the header is an error:
// it is torn, or two writers met in it.
func (c *csvReader) next() ([]string, error) {
	row, err := c.r.Read()
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	var syntax *csv.ParseError
	if errors.As(err, &syntax) {
		return nil, Problem{Line: syntax.Line, Text: "CSV: " + syntax.Err.Error()}
	}
	if err != nil {
		return nil, err
	}
	c.lines, _ = c.r.FieldPos(0)
	if c.header != nil && len(row) != len(c.header) {
		return nil, Problem{Line: c.lines, Text: fmt.Sprintf("%d columns instead of %d: half-written, or two writers at once", len(row), len(c.header))}
	}
	return row, nil
}

// capped ends a stream with an error, not silently, when it is too long.
type capped struct {
	r    io.Reader
	left int64
	last byte // read
}

func (c *capped) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("larger than %d MB", maxCSV>>20)
	}
	n, err := c.r.Read(b[:min(int64(len(b)), c.left)])
	c.left -= int64(n)
	if n > 0 {
		c.last = b[n-1]
	}
	return n, err
}

// readPerfCSV reads perf_script_test_results.csv: one row per metric, appended
// by every test. The value stands in perf_metric, the metric in metric_type,
// the point in test_name (<id>_con:<N>).
func (rd Reader) readPerfCSV(br *bufio.Reader, file string) ([]Result, error) {
	c, err := newCSV(br)
	if err != nil {
		return nil, err
	}
	column := func(name string) int { return slices.Index(c.header, name) }
	value, kind, test, state := column("perf_metric"), column("metric_type"), column("test_name"), column("state")
	if value < 0 || kind < 0 || test < 0 {
		return nil, Problem{Line: 1, Text: "CSV: perf_metric, metric_type or test_name is not among the columns"}
	}
	var results []Result
	last := map[string]int{} // test name → its latest result
	for {
		row, err := c.next()
		if errors.Is(err, io.EOF) && c.in.last != '\n' {
			return results, Problem{Line: c.lines, Text: "CSV: the last line has no end: half-written"}
		}
		if errors.Is(err, io.EOF) {
			return results, nil
		}
		if err != nil {
			return results, err
		}
		if row[value] == "perf_metric" {
			continue // a header in between
		}
		i, ok := last[row[test]]
		if m, known := rd.Metrics.Resolve(row[kind]); ok && known {
			_, measured := results[i].Value(m.Name)
			ok = !measured // the same again: another run of the test
		}
		if !ok {
			i = len(results)
			last[row[test]] = i
			results = append(results, Result{Format: FormatPerfCSV, File: file, Line: c.lines, Name: row[test], Concurrency: concurrencyOf(row[test])})
		}
		rd.perfRow(&results[i], row[kind], row[value], c.lines)
		if state >= 0 && row[state] != "valid" && row[state] != "" {
			results[i].Problems = append(results[i].Problems, Problem{file, c.lines, fmt.Sprintf("state is %q, not valid", row[state])})
		}
	}
}

func (rd Reader) perfRow(r *Result, kind, value string, line int) {
	m, ok := rd.Metrics.Resolve(kind)
	if !ok {
		r.Notes = append(r.Notes, Problem{r.File, line, fmt.Sprintf("metric_type %q is not known", kind)})
		return
	}
	v, ok := ParseNumber(value)
	if !ok {
		v = math.NaN()
	}
	r.Add(m, v, line)
}

//nolint:gochecknoglobals // immutable, compiled once
var concurrencySuffix = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[_-]con[:-]([0-9]{1,9})$`) })

func concurrencyOf(testName string) int {
	g := concurrencySuffix().FindStringSubmatch(testName)
	if g == nil {
		return 0
	}
	n, _ := strconv.Atoi(g[1])
	return n
}
