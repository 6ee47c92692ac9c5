package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/plant"
)

// plantedRun is a recorded run in today's layout, with everything in it that is read.
func plantedRun(t *testing.T, base string) rundir.Dir {
	t.Helper()
	dir := rundir.Dir(filepath.Join(base, "run"))
	for _, f := range readArchive(t, "../../testdata/runs/passed.txtar").Files {
		name := f.Name
		for _, part := range []string{"roles/", "output/"} {
			name = strings.Replace(name, "attempt-1/"+part, "attempt-1/run-0/"+part, 1)
		}
		writeRecorded(t, filepath.Join(string(dir), name), f.Data)
	}
	return dir
}

// plantedPaths are the places that report reads, writes or removes, relative to the run directory or its parent. named
// are those whose content counts: what stands there instead is told. The first three are the records of a run, of a
// case and of an attempt.
func plantedPaths() (named, other []string) {
	attempt := "run/cases/" + recordedSlug + "/rep-0/attempt-1/"
	named = []string{
		"run/run.json", "run/cases/" + recordedSlug + "/plan.json", attempt + "outcome.json", attempt + "agent.json",
		attempt + "run-0/roles/CTX_0/results.0.xml", attempt + "run-0/output/trtllm-benchmark.0.0.log",
	}
	other = []string{
		"run/lease.json", "run/cases", "run/cases/" + recordedSlug, "run/cases/" + recordedSlug + "/rep-0", strings.TrimSuffix(attempt, "/"),
		attempt + "plan.json", attempt + "job.json", attempt + "slurm.out", attempt + "run-0", attempt + "run-0/record.json", attempt + "run-0/nodes",
		attempt + "run-0/roles", attempt + "run-0/roles/CTX_0", attempt + "run-0/roles/CTX_0/status.json", attempt + "run-0/roles/CTX_0/output.log",
		attempt + "run-0/roles/CTX_0/role.sh", attempt + "run-0/roles/CTX_0/gpus.n1.txt", attempt + "run-0/output",
		"run/report", "run/report/cases", "run/report/charts", "run/report/junit.xml", "run/report/verdict.json", "run/report/index.html",
		"run/report/summary.md", "run/report/report.css", "run/report/cases/old.html", "run/report/.junit.xml.tmp",
		"copy/report", "copy/cases", "copy/result.json", "copy/report/junit.xml",
	}
	return named, other
}

// plantedClasses are one of each class of them: a record, results, a log, a directory, and what is written or copied.
func plantedClasses() []string {
	attempt := "run/cases/" + recordedSlug + "/rep-0/attempt-1/"
	return []string{
		attempt + "outcome.json", attempt + "run-0/roles/CTX_0/results.0.xml", attempt + "run-0/output/trtllm-benchmark.0.0.log", attempt + "run-0",
		"run/report", "run/report/junit.xml", "copy/report",
	}
}

// Whatever a test has put in the place of a file or directory, report ends soon, reads and changes nothing outside of
// the run, and names what counts.
func TestReportOfPlantedNodes(t *testing.T) {
	t.Parallel()
	named, other := plantedPaths()
	for j, k := range plant.Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			outside := plant.NewOutside(t)
			for i, at := range append(slices.Clone(named), other...) {
				// Every kind where paths of a class are read in one way, and every path with one kind: all pairs show nothing more.
				if (i+j)%len(plant.Kinds()) != 0 && (testing.Short() || !slices.Contains(plantedClasses(), at)) {
					continue
				}
				out := reportPlanted(t, k, at, outside)
				outside.Untouched(t, k.Name+" at "+at)
				shows := k.Name != "hard link" && strings.Contains(out.all, plant.Canary) // which is the file itself
				assert.False(t, shows, "%s at %s: %s", k.Name, at, out.console)
				if slices.Contains(named[1:3], at) && k.Is != "" { // what a test does to its own run is no infrastructure
					assert.Contains(t, out.junit, "<error", "%s at %s", k.Name, at)
					assert.Equal(t, 1, out.exit, "%s at %s: %s", k.Name, at, out.console)
				}
				if slices.Contains(named, at) {
					assert.NotZero(t, out.exit, "%s at %s: %s", k.Name, at, out.console)
					// A directory among a test's outputs is nothing to wonder at.
					told := strings.Contains(out.all, k.Is) || k.Name == "directory" && strings.Contains(at, "/output/")
					assert.True(t, told, "%s at %s: %s", k.Name, at, out.console)
				}
			}
		})
	}
}

type plantedOutputs struct {
	exit    int
	junit   string
	console string
	all     string // of the console and of every file of the report and its copy
}

func reportPlanted(t *testing.T, k plant.Kind, at string, outside plant.Outside) plantedOutputs {
	t.Helper()
	base := t.TempDir()
	dir := plantedRun(t, base)
	settle(t, dir)
	writeRecorded(t, filepath.Join(base, "ci-disagg.yaml"), []byte("stage: nightly\nperf: {allow_no_baseline: true}\n"))
	if strings.HasPrefix(at, "copy/") {
		writeRecorded(t, filepath.Join(base, "copy", ".ci-disagg-copy"), nil)
	}
	k.InPlace(t, filepath.Join(base, at), outside)
	var out bytes.Buffer
	h := newHost()
	h.stdout, h.stderr = &out, &out
	h.getenv, h.environ = func(string) string { return "" }, func() []string { return nil }
	begun := time.Now()
	exit := run(context.Background(), h, []string{"report", "-c", filepath.Join(base, "ci-disagg.yaml"), "--copy-report", filepath.Join(base, "copy"), string(dir)})
	require.Less(t, time.Since(begun), 10*time.Minute, "%s at %s", k.Name, at)
	console := out.String()
	for _, made := range []string{dir.Report(), filepath.Join(base, "copy")} {
		_ = filepath.WalkDir(made, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return nil //nolint:nilerr // there may be none
			}
			if info, err := e.Info(); err == nil && info.Size() < 16<<20 {
				data, err := os.ReadFile(path)
				require.NoError(t, err)
				fmt.Fprintf(&out, "%s: %s\n", path, data)
			}
			return nil
		})
	}
	junit, _ := os.ReadFile(filepath.Join(dir.Report(), rundir.ReportJUnit))
	return plantedOutputs{exit, string(junit), console, out.String()}
}
