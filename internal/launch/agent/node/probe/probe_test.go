package probe_test

import (
	"context"
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/agent/node/probe"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/smi"
)

// looking is a probe at work.
type looking struct {
	*probe.Probe
	t    *testing.T
	run  rundir.RunDir
	end  context.CancelFunc
	done chan error
}

func look(t *testing.T, edit func(*probe.Options)) *looking {
	t.Helper()
	dir := rundir.AttemptDir(t.TempDir())
	require.NoError(t, rundir.WriteJSON(dir.PlanFile(), rundir.Plan{Schema: rundir.Schema}))
	files, err := dir.Tree()
	require.NoError(t, err)
	t.Cleanup(func() { _ = files.Close() })
	o := probe.Options{Files: files, Run: dir.Run(0), Node: "n0", Job: "7", Mark: "SLURM_JOB_ID=7", Env: os.Environ(), Root: "/", Now: time.Now, Here: time.Now, Every: 20 * time.Millisecond, Ask: time.Minute}
	edit(&o)
	ctx, cancel := context.WithCancel(t.Context())
	l := &looking{Probe: probe.New(o), t: t, run: dir.Run(0), end: cancel, done: make(chan error, 1)}
	go func() { l.done <- l.Run(ctx) }()
	return l
}

func (l *looking) record() (rec rundir.NodeRecord) {
	_ = rundir.ReadJSON(l.run.MachineFile("n0"), &rec)
	return rec
}

// rows are those of the telemetry, by the names of their columns.
func (l *looking) rows() []map[string]string {
	text, err := os.ReadFile(l.run.TelemetryFile("n0"))
	if err != nil {
		return nil
	}
	all, err := csv.NewReader(strings.NewReader(string(text[:strings.LastIndexByte(string(text), '\n')+1]))).ReadAll()
	require.NoError(l.t, err)
	var out []map[string]string
	for _, r := range all[min(1, len(all)):] {
		row := map[string]string{}
		for i, name := range all[0] {
			row[name] = r[i]
		}
		out = append(out, row)
	}
	return out
}

func (l *looking) until(what string, ok func() bool) {
	l.t.Helper()
	require.Eventually(l.t, ok, time.Minute, 5*time.Millisecond, what)
}

func (l *looking) stop() rundir.NodeRecord {
	l.t.Helper()
	l.end()
	require.NoError(l.t, <-l.done)
	return l.record()
}

// Without any GPU the record is still useful, and nothing warns.
func TestWithoutGPUs(t *testing.T) {
	bin := t.TempDir() // nothing on the PATH
	l := look(t, func(o *probe.Options) {
		o.Env = []string{"PATH=" + bin, "NCCL_DEBUG=INFO", "UCX_AUTH_TOKEN=abcdefgh", "HOME=/x"}
	})
	l.until("a row", func() bool { return len(l.rows()) > 1 })
	l.Phase(rundir.PhaseBenchmark)
	got := l.stop()
	require.Empty(t, got.Missing)
	require.Empty(t, got.GPUs)
	require.Empty(t, got.Phases)
	host, err := os.Hostname()
	require.NoError(t, err)
	require.Equal(t, []string{"n0", host}, []string{got.Node, got.Host})
	require.NotEmpty(t, got.Kernel)
	require.NotEmpty(t, got.CPU.Set)
	require.Positive(t, got.CPU.Online)
	require.Positive(t, got.MemoryMiB)
	require.Equal(t, map[string]string{"NCCL_DEBUG": "INFO"}, got.Variables)
	row := l.rows()[1]
	require.Empty(t, row["gpu"])
	require.NotEmpty(t, row["load1"])
	require.NotEmpty(t, row["time"])
}

func TestCardsCountersAndSamples(t *testing.T) {
	m := smi.New(t, smi.Card{UUID: "GPU-a", SM: 1980, Power: 600, Temp: 60, Util: 98}, smi.Card{UUID: "GPU-b", SM: 1410, Power: 400, Temp: 88, Util: 97})
	m.Heats(1000)
	l := look(t, func(o *probe.Options) { o.Env = m.Env() })
	l.Phase(rundir.PhaseReady)
	l.Phase(rundir.PhaseBenchmark)
	l.until("a sample of both cards", func() bool {
		seen := map[string]bool{}
		for _, r := range l.rows() {
			seen[r["gpu"]] = true
		}
		return seen["0"] && seen["1"] && seen[""]
	})
	l.until("counters before", func() bool { return len(l.record().Phases) == 1 })
	l.Phase(rundir.PhaseDrain)
	l.until("counters after", func() bool { return l.record().Phases[0].After != nil })
	got := l.stop()
	require.Empty(t, got.Missing)
	require.Equal(t, []string{"580.159.04", "13.0"}, []string{got.Driver, got.CUDA})
	require.Len(t, got.GPUs, 2)
	require.Equal(t, []any{1, "GPU-b", "NVIDIA H200", &rundir.NVLink{Active: 1, Speed: 26.562}}, []any{got.GPUs[1].Index, got.GPUs[1].UUID, got.GPUs[1].Name, got.GPUs[1].NVLink})
	phase := got.Phases[0]
	require.Equal(t, rundir.PhaseBenchmark, phase.Phase)
	for _, uuid := range []string{"GPU-a", "GPU-b"} {
		require.EqualValues(t, 1000, phase.After.Cards[uuid][rundir.CountThermal]-phase.Before.Cards[uuid][rundir.CountThermal])
	}
	for _, r := range l.rows() {
		if r["gpu"] == "1" {
			require.Equal(t, []string{"1410", "3201", "400", "88", "97", "1011", "0x0000000000000040"},
				[]string{r["sm_mhz"], r["mem_mhz"], r["power_w"], r["temp_c"], r["util_pct"], r["mem_used_mib"], r["reasons"]})
		}
	}
}

// The agent's clock becomes known while the node is looked at: what is seen to jump is no time that it took.
func TestAClockThatIsSetBack(t *testing.T) {
	var calls atomic.Int64
	l := look(t, func(o *probe.Options) {
		o.Env = []string{"PATH=" + t.TempDir()}
		o.Now = func() time.Time { return time.Now().Add(-time.Duration(min(calls.Add(1), 9)) * time.Minute) }
	})
	l.until("the record", func() bool { return l.record().Host != "" })
	require.GreaterOrEqual(t, l.stop().Took.D(), time.Duration(0))
}

// A run that is over while the counters are asked for has them all the same: the answer of a real card takes as long as
// servers take to leave.
func TestCountersOfARunThatEnds(t *testing.T) {
	m := smi.New(t, smi.Card{UUID: "GPU-a", SM: 1980})
	l := look(t, func(o *probe.Options) { o.Env, o.Every, o.Leave = m.Env(), 0, time.Minute })
	l.Phase(rundir.PhaseBenchmark)
	l.until("counters before", func() bool { return len(l.record().Phases) == 1 })
	asked, answer := m.Hesitates()
	l.Phase(rundir.PhaseDrain)
	l.until("the question", asked)
	l.end()
	answer()
	got := l.stop()
	require.NotNil(t, got.Phases[0].After)
	require.Contains(t, got.Phases[0].After.Cards, "GPU-a")
}

// Eight cards answer later than a run that is over waits; one that goes on has the time.
func TestCountersOfSlowCards(t *testing.T) {
	m := smi.New(t, smi.Card{UUID: "GPU-a", SM: 1980})
	l := look(t, func(o *probe.Options) { o.Env, o.Every, o.Leave = m.Env(), 0, time.Millisecond })
	l.Phase(rundir.PhaseBenchmark)
	l.until("counters before", func() bool { return len(l.record().Phases) == 1 })
	asked, answer := m.Hesitates()
	l.Phase(rundir.PhaseDrain)
	l.until("the question", asked)
	time.Sleep(20 * time.Millisecond)
	answer()
	l.until("counters after", func() bool { return l.record().Phases[0].After != nil })
	l.stop()
}

// A job that has some of a machine's cards is told of no other.
func TestOthersCardsAreNotOurs(t *testing.T) {
	m := smi.New(t, smi.Card{UUID: "GPU-a", SM: 1980}, smi.Card{UUID: "GPU-b", SM: 1410})
	l := look(t, func(o *probe.Options) { o.Env, o.Devices = m.Env(), []int{1} })
	l.until("a sample", func() bool { return strings.Contains(strings.Join(gpus(l.rows()), ""), "1") })
	got := l.stop()
	require.Len(t, got.GPUs, 1)
	require.Equal(t, "GPU-b", got.GPUs[0].UUID)
	require.NotContains(t, gpus(l.rows()), "0")
}

func gpus(rows []map[string]string) []string {
	var out []string
	for _, r := range rows {
		out = append(out, r["gpu"])
	}
	return out
}

// Who computes on a card of the job and has not its mark is somebody else.
func TestNeighbour(t *testing.T) {
	for name, tt := range map[string]struct {
		env  string
		name string
		want bool
	}{
		"the job's own":   {env: "SLURM_JOB_ID=7"},
		"another job's":   {env: "SLURM_JOB_ID=8", want: true},
		"nobody's":        {env: "A=b", want: true},
		"the MPS server":  {env: "A=b", name: "/usr/bin/nvidia-cuda-mps-server"},
		"no user of GPUs": {env: "A=b", name: "closed"},
	} {
		t.Run(name, func(t *testing.T) {
			m := smi.New(t, smi.Card{UUID: "GPU-a", SM: 1980})
			root := t.TempDir() // its /proc shows the process with a GPU's device open
			pid := filepath.Join(root, "proc", "4242")
			require.NoError(t, os.MkdirAll(filepath.Join(pid, "fd"), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(pid, "environ"), []byte("X=y\x00"+tt.env+"\x00"), 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(pid, "cgroup"), []byte("0::/user.slice\n"), 0o600))
			if tt.name != "closed" {
				require.NoError(t, os.Symlink("/dev/nvidia0", filepath.Join(pid, "fd", "5")))
			}
			m.Computes("GPU-a", 4242, "python3"+tt.name)
			l := look(t, func(o *probe.Options) { o.Env, o.Root = m.Env(), root })
			l.until("a look at the card", func() bool {
				for _, r := range l.rows() {
					if r["others"] != "" {
						return true
					}
				}
				return false
			})
			got := l.stop()
			require.Equal(t, tt.want, len(got.Others) == 1, "%+v", got.Others)
			if tt.want {
				require.Equal(t, []any{"GPU-a", 4242, "python3"}, []any{got.Others[0].UUID, got.Others[0].PID, got.Others[0].Name})
			}
		})
	}
}

// A driver that fails is said, and nothing else happens.
func TestBrokenDriver(t *testing.T) {
	bin := t.TempDir()
	require.NoError(t, rundir.WriteFile(filepath.Join(bin, "nvidia-smi"), []byte("#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n"), rundir.ExecMode))
	l := look(t, func(o *probe.Options) { o.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH")) })
	l.until("a row", func() bool { return len(l.rows()) > 1 })
	got := l.stop()
	require.Len(t, got.Missing, 1)
	require.Contains(t, got.Missing[0], "GPUs: nvidia-smi: exit 9")
	require.NotEmpty(t, got.Kernel)
}
