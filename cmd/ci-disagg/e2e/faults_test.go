package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// fault is one row of the matrix: what is done to one role, and how the run has to end.
type fault struct {
	inject  string // CI_DISAGG_FAULT, see testdata/workload/README.md
	outcome rundir.Outcome
	exit    int
	root    string // alternatives separated by |
	quick   bool   // also part of `make test`
	budget  string // budgets: of the config, when the row needs short ones
}

// short are the budgets of rows that end by one.
const short = "{queue: 5m, ready: 12s, benchmark: 12s, drain: 6s, job: 10m}"

// matrix is every row that concerns the roles. Those of Slurm itself (node death, preemption, time limit, cancellation, daemons
// down) and of the driver (signals, kill and resume) stand with internal/launch/agent and internal/launch/drive.
func matrix() []fault {
	var rows []fault
	for _, role := range []string{"GEN_0", "CTX_0", "DISAGG_SERVER", "BENCHMARK"} {
		for _, when := range []string{"before-ready", "after-ready", "while-serving", "after-benchmark"} {
			rows = append(rows,
				fault{inject: role + ":crash-" + when, outcome: rundir.OutcomeTestFailed, exit: 1, root: role},
				fault{inject: role + ":kill-" + when, outcome: rundir.OutcomeInfra, exit: 3, root: role})
		}
		rows = append(rows, fault{inject: role + ":exit=0-after-ready", outcome: rundir.OutcomeTestFailed, exit: 1, root: role})
		for _, xml := range []string{"missing", "empty", "truncated", "garbage"} {
			rows = append(rows, fault{inject: role + ":xml-" + xml, outcome: rundir.OutcomeTestFailed, exit: 1, root: role})
		}
		rows = append(rows, fault{inject: role + ":exit-after-xml=5", outcome: rundir.OutcomeTestFailed, exit: 1, root: role})
	}
	rows = append(rows,
		fault{inject: "GEN_0/5:kill-before-ready", outcome: rundir.OutcomeInfra, exit: 3, root: "GEN_0"},
		fault{inject: "GEN_0/5:kill-while-serving", outcome: rundir.OutcomeInfra, exit: 3, root: "GEN_0"},
		fault{inject: "CTX_0/1:exit=3-while-serving", outcome: rundir.OutcomeTestFailed, exit: 1, root: "CTX_0"},
		fault{inject: "GEN_0:server-kill-while-serving", outcome: rundir.OutcomeInfra, exit: 3, root: "GEN_0"},
		fault{inject: "CTX_0:server-kill-while-serving", outcome: rundir.OutcomeInfra, exit: 3, root: "CTX_0"},
		fault{inject: "GEN_0:fail-requests", outcome: rundir.OutcomeTestFailed, exit: 1, root: "BENCHMARK"},
		fault{inject: "GEN_0:crash-while-serving,CTX_0:crash-while-serving", outcome: rundir.OutcomeTestFailed, exit: 1, root: "GEN_0|CTX_0"},
		fault{inject: "GEN_0:hang-before-ready", outcome: rundir.TimeoutOf(rundir.PhaseReady), exit: 1, root: "GEN_0", budget: short},
		fault{inject: "GEN_0:server-hang-while-serving", outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), exit: 1, budget: short},
		fault{inject: "BENCHMARK:hang-after-ready", outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), exit: 1, budget: short},
		fault{inject: "GEN_0:ignore-term", outcome: rundir.OutcomePassed, exit: 0, budget: short},
	)
	for i := range rows {
		rows[i].quick = slices.Contains([]string{"CTX_0:kill-before-ready", "GEN_0:exit=0-after-ready", "BENCHMARK:xml-truncated"}, rows[i].inject)
	}
	return rows
}

// TestFaultMatrix injects one fault after the other: a few rows here in `make test`, with CI_DISAGG_FAULTS=all every row on both
// backends. At the end it prints the table.
func TestFaultMatrix(t *testing.T) {
	t.Parallel()
	all := os.Getenv("CI_DISAGG_FAULTS") != ""
	backends := []backend{local}
	if all {
		backends = append(backends, slurm)
	}
	var mu sync.Mutex
	table := map[string]string{}
	t.Cleanup(func() {
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		defer func() { _ = w.Flush() }()
		fmt.Fprintln(w, "backend\tfault\toutcome\texit\troot\tseconds\tjobs left\tprocesses left")
		for _, b := range backends {
			for _, row := range matrix() {
				if line, ok := table[string(b)+row.inject]; ok {
					fmt.Fprintln(w, line)
				}
			}
		}
	})
	for _, b := range backends {
		for _, row := range matrix() {
			if !row.quick && !all {
				continue
			}
			t.Run(string(b)+"_"+strings.NewReplacer(":", "_", "/", "_", "=", "_", ",", "_").Replace(row.inject), func(t *testing.T) {
				t.Parallel()
				j := start(t, b, faultConfig(t, b, row), []string{"CI_DISAGG_FAULT=" + row.inject}, wide)
				exit := j.wait(t)
				d := j.document(t)
				require.Len(t, d.Cases, 1)
				outcome, root := d.Cases[0].Outcome, ""
				if f := d.Cases[0].Finding; f != nil {
					root = f.Root
				}
				j.nothingLeft(t, b)
				mu.Lock()
				table[string(b)+row.inject] = fmt.Sprintf("%s\t%s\t%s\t%d\t%s\t%.1f\t0\t0", b, row.inject, outcome, exit, root, j.took.Seconds())
				mu.Unlock()
				require.Equal(t, row.outcome, outcome, d.Cases[0].Message)
				require.Equal(t, row.exit, exit)
				require.Contains(t, strings.Split(row.root, "|"), root, d.Cases[0].Message)
				require.FileExists(t, filepath.Join(j.dir.Report(), rundir.ReportJUnit))
				require.Len(t, j.cases(t)["e2e"], 1, "one verdict case per test")
			})
		}
	}
}

func faultConfig(t *testing.T, b backend, row fault) string {
	t.Helper()
	file := config(t, b, "")
	if row.budget == "" {
		return file
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	lines := strings.Split(string(text), "\n")
	for i := range lines {
		if strings.HasPrefix(lines[i], "budgets:") {
			lines[i] = "budgets: " + row.budget
		}
	}
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600))
	return file
}
