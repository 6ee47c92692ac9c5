package commonfailures

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

var origin = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func at(hours float64) time.Time { return origin.Add(time.Duration(hours * float64(time.Hour))) }

// failures are n runs that failed one way on the given nodes, an hour apart, the newest last, at 12:00.
func failures(n int, rule string, nodes ...string) []Fact {
	var out []Fact
	for i := range n {
		out = append(out, Fact{Run: fmt.Sprintf("%s-%d", rule, i), At: at(float64(i-n+1) / 10), Rule: rule, Kind: "role-crash", Nodes: nodes})
	}
	return out
}

// What many runs of a day have had is told with how many, since when and where; how well others fared there as well.
func TestCommon(t *testing.T) {
	t.Parallel()
	fabric := failures(14, "nccl-remote-error", "gpu7", "gpu8")
	for i := range fabric {
		fabric[i].Nodes = []string{fmt.Sprintf("gpu%d", i), "gpu100"}
		fabric[i].Switches = []string{"leaf3"}
	}
	for i := range fabric[:7] {
		fabric[i].Nodes[1] = "gpu200"
	}
	disk := failures(3, "run-directory", "gpu1")
	for i := range disk {
		disk[i].Storage, disk[i].Nodes = "/runs", []string{fmt.Sprintf("gpu%d", i)}
	}
	passed := func(n int, nodes ...string) []Fact { return failures(n, "", nodes...) }
	apart := failures(3, "nccl-remote-error", "a")
	apart[1].Nodes = []string{"b"}
	again := failures(3, "gpu-xid", "gpu7")
	again[0].Run, again[1].Run = again[2].Run, again[2].Run // three attempts of one run
	old := failures(3, "gpu-xid", "gpu7")
	old[0].At = at(-25)
	tests := []struct {
		name  string
		facts []Fact
		run   string
		want  []string
	}{
		{"one node", append(failures(4, "gpu-xid", "gpu7", "gpu8"), passed(2, "gpu9")...), "gpu-xid-3", []string{
			"this is the 4th run within a day that has met this failure (gpu-xid), since 2026-11-29 11:42Z: all of them on node gpu7, and no other run was there",
		}},
		{"one node, where others pass", append(failures(3, "gpu-xid", "gpu7"), passed(1, "gpu7")...), "gpu-xid-2", []string{
			"this is the 3rd run within a day that has met this failure (gpu-xid), since 2026-11-29 11:48Z: all of them on node gpu7, where 1 other run did not",
		}},
		{"one switch", append(fabric, Fact{Run: "p", At: at(-1), Switches: []string{"leaf3"}, Nodes: []string{"gpu55"}}), "nccl-remote-error-13", []string{
			"this is the 14th run within a day that has met this failure (nccl-remote-error), since 2026-11-29 10:42Z: all of them on switch leaf3, where 1 other run did not",
		}},
		{"not the newest of them: as of then", fabric, "nccl-remote-error-2", []string{
			"this is the 3rd run within a day that has met this failure (nccl-remote-error), since 2026-11-29 10:42Z: all of them on node gpu200, and no other run was there",
		}},
		{"one file system", disk, "run-directory-2", []string{
			"this is the 3rd run within a day that has met this failure (run-directory), since 2026-11-29 11:48Z: all of them on the file system of /runs, and no other run was there",
		}},
		{"nowhere in common", apart, "nccl-remote-error-2", []string{
			"this is the 3rd run within a day that has met this failure (nccl-remote-error), since 2026-11-29 11:48Z; they have no node in common",
		}},
		{"two are not many", failures(2, "gpu-xid", "gpu7"), "gpu-xid-1", nil},
		{"attempts of one run are one", again, "gpu-xid-2", nil},
		{"yesterday's do not count", old, "gpu-xid-2", nil},
		{"others' failures are not this run's", append(failures(5, "gpu-xid", "gpu7"), passed(1, "gpu7")...), "-0", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, p := range Of(tt.run, tt.facts) {
				got = append(got, p.Ordinal())
			}
			require.Equal(t, tt.want, got)
		})
	}
	all := Common(append(failures(3, "gpu-xid", "gpu7"), fabric...), origin)
	require.Len(t, all, 2)
	require.Equal(t, "14 runs within a day have met this failure (nccl-remote-error), since 2026-11-29 10:42Z: all of them on switch leaf3, and no other run was there", all[0].String())
	require.Equal(t, "1st 2nd 3rd 4th 11th 12th 13th 21st 112th", ordinal(1)+" "+ordinal(2)+" "+ordinal(3)+" "+ordinal(4)+" "+ordinal(11)+" "+ordinal(12)+" "+ordinal(13)+" "+ordinal(21)+" "+ordinal(112))
}

// write leaves a run with one attempt in parent.
func write(t *testing.T, parent, id string, o rundir.AttemptOutcome) rundir.Dir {
	t.Helper()
	dir := rundir.Dir(filepath.Join(parent, id))
	run := rundir.Run{Schema: rundir.Schema, ID: id, Cases: []rundir.CaseState{{Slug: "c", Attempts: []rundir.Attempt{{Attempt: 1, Outcome: rundir.OutcomeInfra}}}}}
	o.Schema = rundir.Schema
	require.NoError(t, rundir.WriteJSON(dir.RunFile(), run))
	require.NoError(t, rundir.WriteJSON(dir.CaseDir("c").Attempt(0, 1).OutcomeFile(), o))
	return dir
}

// Neighbours are read from their own records; what is no record, or names nobody could have, is left out.
func TestRead(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	outcome := func(i int) rundir.AttemptOutcome {
		return rundir.AttemptOutcome{
			Outcome: rundir.OutcomeInfra, Ended: at(float64(i) / 10), Nodes: []string{"gpu1", fmt.Sprintf("gpu%d", i+2)},
			Switches: map[string]string{"gpu1": "leaf1"}, Finding: &rundir.Finding{Class: "infra", Kind: "role-crash", Rule: "gpu-xid"},
		}
	}
	var dir rundir.Dir
	for i := range 3 {
		dir = write(t, parent, fmt.Sprintf("run-%d", i), outcome(i))
	}
	evil := outcome(2)
	evil.Finding.Rule = "gpu-xid\nsuccess"
	write(t, parent, "evil", evil)
	test := outcome(2)
	test.Finding.Class = "test"
	write(t, parent, "other", test)
	require.NoError(t, os.WriteFile(filepath.Join(parent, "run.json"), []byte("{}"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(parent, "empty"), 0o755))
	require.NoError(t, os.Mkdir(filepath.Join(parent, "broken"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(parent, "broken", "run.json"), []byte("{"), 0o600))
	require.NoError(t, os.Symlink(filepath.Join(parent, "run-0"), filepath.Join(parent, "link")))

	facts := Read(parent, time.Now())
	require.Len(t, facts, 5)
	require.Equal(t, []string{
		"this is the 3rd run within a day that has met this failure (gpu-xid), since 2026-11-29 12:00Z: all of them on node gpu1, where 2 other runs did not",
	}, Words(dir, "run-2", time.Now()))
	require.Empty(t, Read(parent, time.Now().Add(3*Day)), "nothing was written within that day")
	require.Empty(t, Read(filepath.Join(parent, "none"), time.Now()))
}

// A name of another kind, or of more than a hundred characters, is none.
func TestOdd(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"gpu1": false, strings.Repeat("g", 100): false, strings.Repeat("g", 101): true, "": true, "-gpu1": true, "gpu 1": true, "gpu1\n": true,
	} {
		require.Equal(t, want, odd(s), "%q", s)
	}
}

// A lost node is one failure, whoever told of it, also where that was written down after the driver's death; and who
// was ended there was there.
func TestALostNodeIsOneFailure(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	var dir rundir.Dir
	for i, rule := range []string{"node-lost", "job-state", "node-state"} {
		dir = write(t, parent, fmt.Sprintf("run-%d", i), rundir.AttemptOutcome{
			Outcome: rundir.OutcomeInfra, Ended: at(float64(i) / 10), Nodes: []string{"gpu1"}, Finding: &rundir.Finding{Class: "infra", Kind: "node-fail", Rule: rule},
		})
	}
	var run rundir.Run
	require.NoError(t, rundir.ReadJSON(dir.RunFile(), &run))
	run.Cases[0].Attempts[0].Outcome = ""
	require.NoError(t, rundir.WriteJSON(dir.RunFile(), run))
	words := func() string { return strings.Join(Words(dir, "run-2", time.Now()), "\n") }
	require.Contains(t, words(), "the 3rd run within a day that has met this failure (node-lost), since 2026-11-29 12:00Z: all of them on node gpu1, and no other run was there")
	write(t, parent, "cut", rundir.AttemptOutcome{Outcome: rundir.OutcomeCancelled, Ended: at(0), Nodes: []string{"gpu1"}})
	require.Contains(t, words(), "on node gpu1, and no other run there was left to end by itself")
	write(t, parent, "good", rundir.AttemptOutcome{Outcome: rundir.OutcomePassed, Ended: at(0), Nodes: []string{"gpu1"}})
	require.Contains(t, words(), "on node gpu1, where 1 other run did not")
}

// Who ends runs by hand, or interrupts them, is no fault of a node, and their ends are no good ones of it either.
func TestCancelledRunsAreNoNeighbours(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		outcome rundir.Outcome
		finding rundir.Finding
		facts   int
	}{
		"cancelled":                 {rundir.OutcomeCancelled, rundir.Finding{Class: "infra", Kind: "cancelled", Rule: "job-state"}, 0},
		"the agent was told to end": {rundir.OutcomeInfra, rundir.Finding{Class: "infra", Kind: "cancelled", Rule: "agent-signalled"}, 0},
		"its node failed":           {rundir.OutcomeInfra, rundir.Finding{Class: "infra", Kind: "node-fail", Rule: "job-state"}, many},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			var dir rundir.Dir
			for i := range many {
				dir = write(t, parent, fmt.Sprintf("run-%d", i), rundir.AttemptOutcome{Outcome: tt.outcome, Ended: at(float64(i) / 10), Nodes: []string{"gpu1"}, Finding: &tt.finding})
			}
			failed := slices.DeleteFunc(Read(parent, time.Now()), func(f Fact) bool { return f.Cut })
			require.Len(t, failed, tt.facts)
			require.Equal(t, tt.facts == 0, len(Words(dir, fmt.Sprintf("run-%d", many-1), time.Now())) == 0)
		})
	}
}
