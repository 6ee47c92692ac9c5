package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// oddRun is a recorded run that something has happened to.
type oddRun struct {
	from   string // recorded run
	change func(t *testing.T, dir rundir.Dir)
	want   string // without any policy: exit code and result of the run
}

func oddRuns() map[string]oddRun {
	attempt := func(dir rundir.Dir) rundir.AttemptDir { return dir.CaseDir(recordedSlug).Attempt(0, 1) }
	return map[string]oddRun{
		"aborted":                   {"cancelled", interruptRun, "143 interrupted"},
		"aborted when all was over": {"passed", interruptRun, "143 interrupted"},
		"aborted, and slow":         {"slow", interruptRun, "143 interrupted"},
		"no results":                {"passed", func(t *testing.T, dir rundir.Dir) { removeAll(t, dir, "results.0.xml") }, "1 test_failed"},
		"no output": {"passed", func(t *testing.T, dir rundir.Dir) {
			removeAll(t, dir, "trtllm-benchmark.0.0.log", "trtllm-benchmark.0.1.log", "output.log")
		}, "5 no_verdict"},
		"two roles red": {"passed", func(t *testing.T, dir rundir.Dir) {
			failResults(t, dir, "GEN_0")
			failResults(t, dir, "BENCHMARK")
		}, "1 test_failed"},
		"agent record gone":   {"passed", func(t *testing.T, dir rundir.Dir) { removeAll(t, dir, "agent.json") }, "3 infra"},
		"agent record broken": {"passed", func(t *testing.T, dir rundir.Dir) { writeRecorded(t, attempt(dir).AgentFile(), []byte("{")) }, "3 infra"},
		"never closed": {"passed", func(t *testing.T, dir rundir.Dir) {
			removeAll(t, dir, "outcome.json")
			edit(t, dir.RunFile(), func(run map[string]any) {
				c := run["cases"].([]any)[0].(map[string]any)
				c["state"] = "running"
				delete(c["attempts"].([]any)[0].(map[string]any), "outcome")
			})
		}, "3 interrupted"},
		"failed in the second repetition": {"passed", func(t *testing.T, dir rundir.Dir) {
			for _, f := range readArchive(t, "../../testdata/runs/gen-crashes.txtar").Files {
				if rest, ok := strings.CutPrefix(f.Name, "cases/"+recordedSlug+"/rep-0/"); ok {
					writeRecorded(t, filepath.Join(string(dir.CaseDir(recordedSlug)), "rep-1", rest), f.Data)
				}
			}
			edit(t, dir.RunFile(), func(run map[string]any) {
				c := run["cases"].([]any)[0].(map[string]any)
				c["attempts"] = append(c["attempts"].([]any), rundir.Attempt{Rep: 1, Attempt: 1, Outcome: rundir.OutcomeTestFailed, Why: "repeat"})
			})
		}, "1 test_failed"},
		"all listed as skipped": {"never-launched", func(t *testing.T, dir rundir.Dir) {
			for i, slug := range []string{recordedSlug, companionSlug} {
				edit(t, dir.CaseDir(slug).PlanFile(), func(plan map[string]any) {
					c := plan["case"].(map[string]any)
					c["skip"] = "nvbugs/2"
					delete(c, "known_bug")
				})
				edit(t, dir.RunFile(), func(run map[string]any) {
					c := run["cases"].([]any)[i].(map[string]any)
					c["state"] = "skipped"
					delete(c, "attempts")
				})
			}
		}, "5 no_verdict"},
		"no case": {"passed", func(t *testing.T, dir rundir.Dir) {
			edit(t, dir.RunFile(), func(run map[string]any) { run["cases"] = []any{} })
		}, "5 no_verdict"},
	}
}

func interruptRun(t *testing.T, dir rundir.Dir) {
	t.Helper()
	edit(t, dir.RunFile(), func(run map[string]any) { run["interrupted"] = rundir.Interruption{Signal: 15} })
}

// removeAll removes all files of these names that the recorded case left.
func removeAll(t *testing.T, dir rundir.Dir, names ...string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(string(dir.CaseDir(recordedSlug)), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !slices.Contains(names, e.Name()) {
			return err
		}
		return os.Remove(path)
	}))
}

// failResults makes the test of a role a failing one.
func failResults(t *testing.T, dir rundir.Dir, role string) {
	t.Helper()
	path := filepath.Join(string(dir.CaseDir(recordedSlug).Attempt(0, 1)), "roles", role, "results.0.xml")
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	start := strings.Index(string(data), "<testcase")
	end := start + strings.Index(string(data[start:]), ">")
	head := strings.TrimSuffix(string(data[:end]), "/")
	writeRecorded(t, path, []byte(head+`><failure message="ValueError: `+role+` is wrong">Traceback</failure></testcase></testsuite></testsuites>`))
}

// However odd the directory is, the outputs of its report agree.
func TestOutputsOfOddRunsNeverContradict(t *testing.T) {
	t.Parallel()
	passed := readArchive(t, "../../testdata/runs/passed.txtar")
	var mu sync.Mutex
	var contradictions []string
	t.Run("runs", func(t *testing.T) {
		for name, odd := range oddRuns() {
			for _, p := range policies() {
				if !slices.Contains([]string{"none", "known failure", "known failure *", "allow_no_baseline", "functional_only"}, p.name) {
					continue // as with recorded runs
				}
				t.Run(name+" × "+p.name, func(t *testing.T) {
					t.Parallel()
					o := decideRecorded(t, readArchive(t, "../../testdata/runs/"+odd.from+".txtar"), passed, p, odd.change)
					mu.Lock()
					defer mu.Unlock()
					for _, c := range o.contradictions() {
						contradictions = append(contradictions, t.Name()+": "+c)
					}
					if p.name == "none" {
						require.Equal(t, odd.want, fmt.Sprint(o.exit, " ", o.document.Result))
					}
				})
			}
		}
	})
	slices.Sort(contradictions)
	require.Empty(t, contradictions)
}
