package merge

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// at is so many seconds after the start of the first attempt.
func at(seconds float64) *time.Time {
	t := t0.Add(time.Duration(seconds * float64(time.Second)))
	return &t
}

// role is one that ended.
func role(name, kind string, from, to float64, exit int) Role {
	r := Role{JUnit: true, Log: "roles/" + name + "/output.log"}
	r.RoleRecord = rundir.RoleRecord{Name: name, Kind: kind, State: rundir.RoleEnded, Started: at(from), Ended: at(to), Exit: exit, Nodes: []string{"gb-n01"}}
	if exit > 128 {
		r.Signal = exit - 128
	}
	return r
}

func stoppedRole(name, kind string, from, to float64) Role {
	r := role(name, kind, from, to, 143)
	r.StoppedBy = "agent"
	return r
}

// pytestDoc is a results.xml as pytest writes it.
func pytestDoc(seconds float64, cases ...string) string {
	return fmt.Sprintf(`<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="0" failures="0" skipped="0" tests="1" time="%.3f" timestamp="2026-11-21T10:00:00.000000+00:00" hostname="gb-n01">%s</testsuite></testsuites>`, seconds, strings.Join(cases, ""))
}

// testCase is a case of node id id.
func testCase(id string, seconds float64, inner string) string {
	class, name := split(id)
	return fmt.Sprintf(`<testcase classname=%q name=%q time="%.3f">%s</testcase>`, class, name, seconds, inner)
}

// leave gives a role a result file.
func leave(t *testing.T, r *Role, rank int, doc string) {
	t.Helper()
	path := write(t, t.TempDir(), fmt.Sprintf("results.%d.xml", rank), doc)
	r.Files = append(r.Files, File{Path: path, Shown: fmt.Sprintf("roles/%s/results.%d.xml", r.Name, rank), Rank: rank})
}

func mergeRun(t *testing.T, in Input, o Options) (Summary, string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "junit.xml")
	sum, err := Merge(in, out, o)
	require.NoError(t, err)
	require.Equal(t, sum.In, sum.Out+sum.Folded-sum.Synthetic, "conservation")
	xmllint(t, out)
	return sum, out
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func ptr[T any](v T) *T { return &v }

// find is the case of a suite and a name.
func find(t *testing.T, path, suite, name string) *junit.Case {
	t.Helper()
	_, cases := read(t, path)
	for i, c := range cases {
		if c.Suite.Name == suite && c.Name == name {
			return &cases[i]
		}
	}
	t.Fatalf("no case %s in suite %s:\n%s", name, suite, contents(t, path))
	return nil
}

// simple is a run of one case with two roles.
func simple(client, gen Role, f *rundir.Finding, outcome rundir.Outcome) Input {
	for _, r := range []*Role{&client, &gen} {
		r.Expected = []string{node1}
	}
	return Input{Stage: "s", Cases: []Case{{NodeID: node1, Slug: "slug", Runs: []Run{{
		Attempt: 1, Counts: true, Outcome: outcome, Finding: f, Started: at(0), Ended: at(10), Roles: []Role{client, gen},
	}}}}}
}
