// Package foreign reads the results of tests that are not in JUnit XML and writes them as such: the output of 'go test
// -v' and 'go test -json', and CTRF with its retries. What such a file declares is written as its suites' totals, so
// that a reader sees where it shows less than it declares.
package foreign

import (
	"bytes"
	"fmt"
	"io"
)

// Format is a format that is not JUnit.
type Format string

// The formats. None is JUnit, or nothing that is known.
const (
	None   Format = ""
	GoTest Format = "go test -v"
	GoJSON Format = "go test -json"
	CTRF   Format = "CTRF"
)

// Detect tells the format of an input that begins with head.
func Detect(head []byte) Format {
	head = bytes.TrimSpace(head)
	switch object := bytes.HasPrefix(head, []byte("{")); {
	case object && bytes.Contains(head, []byte(`"Action"`)):
		return GoJSON
	case object && (bytes.Contains(head, []byte(`"CTRF"`)) || bytes.Contains(head, []byte(`"results"`))):
		return CTRF
	case object, bytes.HasPrefix(head, []byte("<")):
		return None
	}
	for line := range bytes.Lines(head) {
		for _, p := range []string{"=== RUN ", "--- PASS: ", "--- FAIL: ", "--- SKIP: ", "ok  \t", "FAIL\t", "?   \t"} {
			if bytes.HasPrefix(line, []byte(p)) {
				return GoTest
			}
		}
	}
	return None
}

// Convert writes an input of a format as a JUnit file.
func Convert(f Format, r io.Reader, w io.Writer) error {
	convert := convertGo
	if f == CTRF {
		convert = convertCTRF
	}
	text, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	if err == nil && len(text) > maxBytes {
		err = fmt.Errorf("the file is larger than %d bytes", maxBytes)
	}
	if err == nil {
		err = convert(f, text, w)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f, err)
	}
	return nil
}

// maxBytes bounds a foreign file, which is held in memory.
const maxBytes = 256 << 20
