package bench

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/jsondoc"
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

// eachRow reads a CSV file with a header: each row by the names of its columns (of two of one name the first), and the
// line where it begins. The header's repetitions are left out. A row of another length than the header is an error: it
// is torn, or two writers met in it; so is a last line without an end.
func eachRow(r io.Reader, each func(row map[string]string, line int) error) error {
	data, err := io.ReadAll(io.LimitReader(r, maxCSV+1))
	if err == nil && len(data) > maxCSV {
		err = fmt.Errorf("larger than %d MB", maxCSV>>20)
	}
	if err != nil {
		return err
	}
	line, rows := 1, csv.NewReader(bytes.NewReader(data))
	rows.FieldsPerRecord = -1
	header, err := rows.Read()
	for i := range header {
		header[i] = strings.TrimSpace(header[i])
	}
	for err == nil {
		var cells []string
		if cells, err = rows.Read(); err != nil || slices.Equal(cells, header) {
			continue
		}
		line, _ = rows.FieldPos(0)
		if len(cells) != len(header) {
			return &jsondoc.Fault{Line: line, Text: fmt.Sprintf("%d columns instead of %d: half-written, or two writers at once", len(cells), len(header))}
		}
		row := map[string]string{}
		for i, name := range slices.Backward(header) {
			row[name] = cells[i]
		}
		err = each(row, line)
	}
	switch syntax, ok := errors.AsType[*csv.ParseError](err); {
	case ok:
		return &jsondoc.Fault{Line: syntax.Line, Text: "CSV: " + syntax.Err.Error()}
	case !errors.Is(err, io.EOF):
		return err
	case len(data) > 0 && data[len(data)-1] != '\n':
		return &jsondoc.Fault{Line: line, Text: "CSV: the last line has no end: half-written"}
	}
	return nil
}

// concurrencySuffix matches the end of any test's name, with its concurrency or without.
var concurrencySuffix = regexp.MustCompile(`(?:[_-]con[:-]([0-9]{1,9}))?$`)

// readPerfCSV reads perf_script_test_results.csv: one row per metric, appended by every test. The value stands in
// perf_metric, the metric in metric_type, the point in test_name (<id>_con:<N>).
func (rd Reader) readPerfCSV(br *bufio.Reader, file string) (results []Result, err error) {
	latest := map[string]int{} // the result of a test
	err = eachRow(br, func(row map[string]string, line int) error {
		for _, column := range []string{"test_name", "perf_metric", "metric_type"} {
			if _, ok := row[column]; !ok {
				return &jsondoc.Fault{Line: 1, Text: "CSV: " + column + " is not among the columns"}
			}
		}
		test := row["test_name"]
		i, ok := latest[test]
		m, known := rd.Metrics.Resolve(row["metric_type"])
		if ok && known {
			_, measured := results[i].Value(m.Name)
			ok = !measured // the same again: another run of the test
		}
		if !ok {
			p := rundir.Point{Name: test, Concurrency: small(concurrencySuffix.FindSubmatch([]byte(test))[1])}
			results = added(results, Result{Format: FormatPerfCSV, File: file, Line: line, Point: p})
			i = len(results) - 1
			latest[test] = i
		}
		if known {
			v, _ := parseNumber(row["perf_metric"])
			results[i].Add(m, v, line)
		}
		if state := row["state"]; state != "valid" && state != "" {
			results[i].spoil(line, "state is %q, not valid", state)
		}
		return nil
	})
	return results, err
}
