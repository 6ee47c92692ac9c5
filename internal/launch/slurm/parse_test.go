package slurm

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func recorded(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "testdata", "slurm-output", name))
	require.NoError(t, err)
	return string(data)
}

func TestParseQueueRecorded(t *testing.T) {
	t.Parallel()
	rows, err := ParseQueue(recorded(t, "22.05.8/squeue.busy"))
	require.NoError(t, err)
	states := map[string]State{}
	for _, r := range rows {
		states[r.ID] = r.State
	}
	require.Equal(t, map[string]State{
		"8": Cancelled, "11": Completed, "13": Completed, "12": Failed, "17": Pending, "18": Pending, "19": Pending, "16": Pending, "14": Running, "15": Running,
	}, states)
	i := slices.IndexFunc(rows, func(r QueueRow) bool { return r.ID == "18" })
	require.Equal(t, QueueRow{
		ID: "18", Name: "cid-0123456789ab-waits-r0a1-00000008", State: Pending, Reason: "Resources", Nodes: 4,
		Start: time.Unix(1795288570, 0).UTC(), Submit: time.Unix(1795288270, 0).UTC(), Command: rows[i].Command,
	}, rows[i])
	require.True(t, strings.HasSuffix(rows[i].Command, "/job.sh"))

	withCluster, err := ParseQueue(recorded(t, "22.05.8/squeue.cluster"))
	require.NoError(t, err)
	require.NotEmpty(t, withCluster)

	died, err := ParseQueue(recorded(t, "22.05.8/squeue.node-fail"))
	require.NoError(t, err)
	i = slices.IndexFunc(died, func(r QueueRow) bool { return r.State == NodeFail })
	require.Equal(t, "NodeDown", died[i].Reason)
	old, err := ParseQueue(recorded(t, "21.08/squeue.node-fail"))
	require.NoError(t, err)
	require.Equal(t, died, old, "ISO times and seconds since the epoch are the same times")

	strange, err := ParseQueue(recorded(t, "23.11/squeue.busy"))
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(strange, func(r QueueRow) bool { return r.State == "EXPEDITING" }))
}

// A job that was stopped for seconds shows in this column alone.
func TestParseAcctSuspended(t *testing.T) {
	t.Parallel()
	rows, err := ParseAcct("JobID|JobName|State|ExitCode|Suspended\n7|j|COMPLETED|0:0|00:00:07\n")
	require.NoError(t, err)
	require.Equal(t, 7*time.Second, rows[0].Suspended)
	for text, want := range map[string]time.Duration{
		"": 0, "00:00:00": 0, "1-02:03:04": 26*time.Hour + 3*time.Minute + 4*time.Second, "02:03": 2*time.Minute + 3*time.Second,
		"00:01.500": 1500 * time.Millisecond, "UNLIMITED": 0, "x-00:00:01": 0, "1:2:3:4": 0, "-5": 0,
	} {
		require.Equal(t, want, parseSpan(text), text)
	}
}

func TestParseAcctRecorded(t *testing.T) {
	t.Parallel()
	rows, err := ParseAcct(recorded(t, "22.05.8/sacct.all"))
	require.NoError(t, err)
	byID := map[string]AcctRow{}
	for _, r := range rows {
		byID[r.ID] = r
	}
	require.Equal(t, Timeout, byID["14"].State)
	require.Equal(t, "0:0", byID["14"].Exit.String(), "TIMEOUT carries 0:0")
	require.Equal(t, Cancelled, byID["15"].State)
	require.Equal(t, "0", byID["15"].By)
	require.Equal(t, "3:0", byID["12"].Exit.String())
	require.Equal(t, Preempted, byID["20"].State)
	require.Equal(t, NodeFail, byID["22"].State)
	require.True(t, byID["22"].Exit.Zero(), "NODE_FAIL carries 0:0 before 24.11")
	require.False(t, byID["22.batch"].Exit.Known, "the batch step of a dead node has none")
	require.Equal(t, Pending, byID["16"].State)
	require.Empty(t, byID["16"].NodeList)
	require.True(t, byID["16"].Start.IsZero())
	require.Equal(t, "GEN_0", byID["11.0"].Name)

	old, err := ParseAcct(recorded(t, "21.08/sacct.all"))
	require.NoError(t, err)
	require.Equal(t, rows, old)
	for version, check := range map[string]func(AcctRow){
		"23.02": func(r AcctRow) { require.Equal(t, "0:0", r.Exit.String()) },
		"24.11": func(r AcctRow) { require.Equal(t, "1:0", r.Exit.String()) },
		"25.11": func(r AcctRow) { require.Equal(t, "PartitionDown", r.Reason) },
	} {
		newer, err := ParseAcct(recorded(t, version+"/sacct.all"))
		require.NoError(t, err, version)
		require.Len(t, newer, len(rows))
		for _, r := range newer {
			if r.ID == "22" {
				check(r)
			}
			if r.ID == "15" {
				require.Equal(t, "1000", r.By)
			}
		}
	}
	empty, err := ParseAcct(recorded(t, "22.05.8/sacct.nothing"))
	require.NoError(t, err)
	require.Empty(t, empty)
}

func TestParseControlRecorded(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		state  State
		exit   string
		reason string
	}{
		"22.05.8/scontrol.ok": {Completed, "0:0", ""}, "22.05.8/scontrol.bad": {Failed, "3:0", "NonZeroExitCode"},
		"22.05.8/scontrol.limit": {Timeout, "143:0", "TimeLimit"}, "21.08/scontrol.limit": {Timeout, "143:0", "TimeLimit"},
		"22.05.8/scontrol.died": {NodeFail, "0:0", "NodeDown"}, "24.11/scontrol.died": {NodeFail, "1:0", "NodeDown"},
		"25.11/scontrol.died": {NodeFail, "1:0", "PartitionDown"}, "22.05.8/scontrol.held": {Pending, "0:0", "JobHeldUser"},
		"22.05.8/scontrol.preempted": {Preempted, "0:0", ""},
	} {
		jobs, err := ParseControl(recorded(t, name))
		require.NoError(t, err, name)
		require.Len(t, jobs, 1, name)
		require.Equal(t, want.state, jobs[0].State, name)
		require.Equal(t, want.exit, jobs[0].Exit.String(), name)
		require.Equal(t, want.reason, jobs[0].Reason, name)
		require.Equal(t, want.state == Preempted, !jobs[0].Preempt.IsZero(), name)
	}
	// What a user writes into his comment comes after what Slurm says.
	jobs, err := ParseControl("JobId=7 JobName=x JobState=RUNNING Reason=None Comment=hello JobState=COMPLETED world=1 ExitCode=0:0\n")
	require.NoError(t, err)
	require.Equal(t, Running, jobs[0].State)
	jobs, err = ParseControl("JobId=7 JobName=x JobState=RUNNING Reason=None AdminComment=two\nlines JobState=FAILED\n\nJobId=8 JobName=y JobState=PENDING Reason=None\n")
	require.NoError(t, err)
	require.Len(t, jobs, 2)
	require.Equal(t, Running, jobs[0].State)
	require.Equal(t, "8", jobs[1].ID)
}

// A job of somebody else may have any name; the answer about ours must not hang on it.
func TestALineBreakInANeighboursName(t *testing.T) {
	t.Parallel()
	rows, err := ParseQueue(recorded(t, "22.05.8/squeue.line-break"))
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(rows, func(r QueueRow) bool { return r.Name == "we\nird" && r.State == Pending }))
	require.True(t, slices.ContainsFunc(rows, func(r QueueRow) bool { return strings.HasPrefix(r.Name, "cid-") && r.State == Pending }))
}

func TestParseRefusesWhatItCannotKnow(t *testing.T) {
	t.Parallel()
	us, head := queueSep, queueRow+strings.Join([]string{"JOBID", "NAME", "STATE", "REASON"}, queueSep)+"\n"+queueRow
	for name, text := range map[string]string{
		"empty":           "",
		"no header":       "slurm_load_jobs error: Unable to contact slurm controller\n",
		"no row marks":    strings.ReplaceAll(head, queueRow, "") + "7" + us + "x" + us + "RUNNING" + us + "None\n",
		"a field more":    head + "7" + us + "x" + us + "RUNNING" + us + "None" + us + "?\n",
		"a field less":    head + "7" + us + "x" + us + "RUNNING\n",
		"cut in the line": head + "7" + us + "x",
		"not an id":       head + "seven" + us + "x" + us + "RUNNING" + us + "None\n",
	} {
		_, err := ParseQueue(text)
		require.Error(t, err, name)
	}
	_, err := ParseAcct("JobID|JobName|State\n7|x|COMPLETED\n")
	require.ErrorContains(t, err, "EXITCODE")
	_, err = ParseControl("slurm_load_jobs error: Invalid job id specified\n")
	require.Error(t, err)
	// A column more in the header is a newer release.
	rows, err := ParseQueue(queueRow + "JOBID" + us + "NEW" + us + "NAME" + us + "STATE" + us + "REASON\n" + queueRow + "7+0" + us + "?" + us + "x" + us + "RUNNING" + us + "None\n")
	require.NoError(t, err)
	require.Equal(t, "7+0", rows[0].ID)
	require.Equal(t, "x", rows[0].Name)
}

func TestParseState(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		state State
		by    string
		class Class
	}{
		"RUNNING": {Running, "", Active}, "CANCELLED by 1000": {Cancelled, "1000", Terminal}, "CANCELLED+": {Cancelled, "", Terminal},
		"CONFIGUR+": {"CONFIGUR", "", Unknown}, "OOM": {OutOfMemory, "", Terminal}, "CG": {Completing, "", Leaving}, "": {"", "", Unknown},
		"FUTURE_WORD": {"FUTURE_WORD", "", Unknown}, "REQUEUED": {Requeued, "", Waiting}, "running": {Running, "", Active},
		"SPECIAL_EXIT": {SpecialExit, "", Waiting}, "REVOKED": {Revoked, "", Terminal}, "NODE_FAIL": {NodeFail, "", Terminal},
	} {
		s, by := ParseState(text)
		require.Equal(t, want.state, s, text)
		require.Equal(t, want.by, by, text)
		require.Equal(t, want.class, s.Class(), text)
	}
}

func TestParseSubmit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Job{
		"123\n": {ID: "123"}, "123;gb200\n": {ID: "123", Cluster: "gb200"}, "some plugin says hello\n77\n": {ID: "77"},
	} {
		j, err := parseSubmit(text)
		require.NoError(t, err, text)
		require.Equal(t, want, j)
	}
	for _, bad := range []string{"", "\n", "null", "1.5", "-7", "Submitted batch job 7", "7;", "7;a b", "7;-M", "12345678901234567890", "7 8", "7_1"} {
		_, err := parseSubmit(bad)
		require.Error(t, err, "%q", bad)
	}
}

func TestNodes(t *testing.T) {
	t.Parallel()
	for list, want := range map[string][]string{
		"gpu0": {"gpu0"}, "gpu[0-2]": {"gpu0", "gpu1", "gpu2"}, "gpu[008-010,12]": {"gpu008", "gpu009", "gpu010", "gpu12"},
		"a[1-2],b3": {"a1", "a2", "b3"}, "r[1-2]n[1-2]": {"r1n1", "r1n2", "r2n1", "r2n2"}, "": nil, "gpu[": nil, "gpu[2-1]": nil,
		"gpu[1-999999999]": nil, "gpu[a-b]": nil, "a,,b": nil, "gpu]": nil, "x[1-2]y[1-3],z": {"x1y1", "x1y2", "x1y3", "x2y1", "x2y2", "x2y3", "z"},
	} {
		require.Equal(t, want, Nodes(list, 100), "%q", list)
	}
	require.Nil(t, Nodes("n[1-11]", 10))
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{
		"22.05.8/squeue.busy", "22.05.8/squeue.cluster", "22.05.8/sacct.all", "22.05.8/sacct.bad-field", "22.05.8/scontrol.limit",
		"21.08/sacct.all", "25.11/scontrol.died", "22.05.8/scontrol.unknown",
	} {
		f.Add(recorded(f, name))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if rows, err := ParseQueue(text); err == nil {
			for _, r := range rows {
				if !isJobID(r.ID) {
					t.Fatalf("job id %q", r.ID)
				}
			}
		}
		if rows, err := ParseAcct(text); err == nil {
			for _, r := range rows {
				if r.State.Class() == 0 {
					t.Fatal("a state without class")
				}
			}
		}
		if jobs, err := ParseControl(text); err == nil {
			for _, j := range jobs {
				if !isJobID(j.ID) {
					t.Fatalf("job id %q", j.ID)
				}
			}
		}
		if j, err := parseSubmit(text); err == nil && (!plainID(j.ID) || j.Cluster != "" && !isWord(j.Cluster)) {
			t.Fatalf("submitted %+v", j)
		}
		if n := Nodes(text, 64); len(n) > 64 {
			t.Fatalf("%d nodes", len(n))
		}
	})
}

// A cut anywhere in a table is an error or loses whole rows, never a wrong word.
func TestCutTables(t *testing.T) {
	t.Parallel()
	text := recorded(t, "22.05.8/squeue.busy")
	whole, err := ParseQueue(text)
	require.NoError(t, err)
	for i := range len(text) {
		rows, err := ParseQueue(text[:i])
		if err != nil {
			continue
		}
		for k, r := range rows {
			require.Equal(t, whole[k].State, r.State, "cut at %d", i)
			require.Equal(t, whole[k].ID, r.ID, "cut at %d", i)
			require.Equal(t, whole[k].Reason, r.Reason, "cut at %d", i)
		}
	}
}

func TestParseTroubles(t *testing.T) {
	t.Parallel()
	none := " Unknown Unknown none\n"
	text := "gpu0 idle" + none + "gpu0 idle" + none + "gpu1 down* 1795972290 slurm(64030) Not responding\ngpu1 down* 1795972290 slurm(64030) Not responding\n" +
		"gpu2 mixed*" + none + "gpu3 drained 1795972290 root(0) Prolog error\ngpu4 fail" + none + "gpu5 draining 1795972290 root(0) NHC: 7 of 8 GPUs\nCLUSTER: down\n\nhalf"
	all := ParseTroubles(text)
	require.Equal(t, []string{"gpu1", "gpu2", "gpu4"}, LostNodes(all))
	at := time.Unix(1795972290, 0).UTC()
	require.Contains(t, all, NodeTrouble{Name: "gpu3", Since: at, By: "0", Reason: "Prolog error"})
	require.Contains(t, all, NodeTrouble{Name: "gpu5", Since: at, By: "0", Reason: "NHC: 7 of 8 GPUs"})
	require.Len(t, all, 5)
	require.Empty(t, ParseTroubles(""))
}

func TestParseNodes(t *testing.T) {
	t.Parallel()
	text := "gpu0 batch* idle\ngpu0 urgent idle\ngpu1 batch* down*\ngpu2 batch* mix-\ngpu3 batch* idle~\ngpu4 batch* drain\ngpu5 batch* alloc*\ngpu6 batch* newword\nCLUSTER: x\n\n"
	usable := map[string]bool{"gpu0": true, "gpu2": true, "gpu3": true}
	rows := ParseNodes(text)
	require.Len(t, rows, 8)
	for _, r := range rows {
		require.Equal(t, usable[r.Name], r.Usable, r.Name)
		require.Equal(t, r.Partition == "batch", r.Default)
	}
	require.Equal(t, "urgent", rows[1].Partition)
}
