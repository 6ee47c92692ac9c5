// Package results reads what a role's own tests say, while the job still runs.
//
// In: the run directory and the name of a role that has ended. Out: whether its tests were
// all skipped. What a run is worth is decided from the same files when it is over; the
// agent only has to know whether a role that left early may have been right to.
package results

import (
	"bytes"
	"encoding/xml"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// most is how much of one file is read, in bytes: a skipped test prints next to nothing.
const most = 1 << 20

// OnlySkipped reports whether a role has left JUnit files, and all tests in them were
// skipped. A file that cannot be read to its end proves nothing.
func OnlySkipped(files *rundir.Tree, run rundir.RunDir, role string) bool {
	paths, err := files.RoleResults(run, role)
	for _, path := range paths {
		data, readErr := files.ReadFile(path, most)
		if err != nil || readErr != nil || !onlySkipped(data) {
			return false
		}
	}
	return err == nil && len(paths) > 0
}

// onlySkipped reports whether a JUnit file is complete, has tests, and each of them has been skipped.
func onlySkipped(data []byte) bool {
	var file struct {
		Cases  []testCase `xml:"testcase"`
		Suites []struct {
			Cases []testCase `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if xml.NewDecoder(bytes.NewReader(data)).Decode(&file) != nil {
		return false
	}
	cases := file.Cases
	for _, s := range file.Suites {
		cases = append(cases, s.Cases...)
	}
	for _, c := range cases {
		if c.Skipped == nil || c.Failure != nil || c.Error != nil {
			return false
		}
	}
	return len(cases) > 0
}

type testCase struct {
	Skipped *struct{} `xml:"skipped"`
	Failure *struct{} `xml:"failure"`
	Error   *struct{} `xml:"error"`
}
