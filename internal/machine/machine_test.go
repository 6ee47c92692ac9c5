package machine_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/machine"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// recorded is what nvidia-smi printed on a real card; testdata/README.md says where.
func recorded(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return string(b)
}

const (
	h200 = "580.159.04/q-load.txt"
	uuid = "GPU-11111111-2222-3333-4444-555555555555"
)

func TestQueryOfARealCard(t *testing.T) {
	q, err := machine.ParseQuery([]byte(recorded(t, h200)))
	require.NoError(t, err)
	require.Equal(t, machine.Query{Driver: "580.159.04", CUDA: "13.0", GPUs: []rundir.GPU{{
		Index: 0, UUID: uuid, Name: "NVIDIA H200", Bus: "00000000:00:06.0", VBIOS: "96.00.A5.00.1A", MemoryMiB: 143771,
		MIG: "disabled", ECC: "enabled", PowerLimit: 700, PowerDefault: 700,
		Clocks: rundir.Clocks{MaxSM: 1980, MaxMem: 3201, AppSM: 1980, AppMem: 3201},
		Counters: rundir.Counter{
			rundir.CountPowerCap: 7308724, rundir.CountPowerBrake: 0, rundir.CountSyncBoost: 0, rundir.CountThermal: 0, rundir.CountThermalHW: 0,
			rundir.CountCorrected: 0, rundir.CountUncorrected: 0, rundir.CountCorrectedAll: 0, rundir.CountUncorrectedAll: 0,
			rundir.CountRemapped: 0, rundir.CountReplays: 0,
		},
	}}}, q)
	after, err := machine.ParseQuery([]byte(recorded(t, "580.159.04/q-after.txt")))
	require.NoError(t, err)
	require.EqualValues(t, 25345765, after.GPUs[0].Counters[rundir.CountPowerCap], "the counter has grown under load")
}

// Other drivers have other names for the same, and say less.
func TestQueryOfOtherDrivers(t *testing.T) {
	replace := func(old, by string) func(string) string {
		return func(s string) string {
			out := regexp.MustCompile(old).ReplaceAllString(s, by)
			require.NotEqual(t, s, out, old)
			return out
		}
	}
	for name, tt := range map[string]struct {
		edit func(string) string
		want func(t *testing.T, g rundir.GPU)
	}{
		"throttle reasons, without times": {
			replace(`(?s)    Clocks Event Reasons Counters.*?(    Sparse)`, "$1"),
			func(t *testing.T, g rundir.GPU) {
				require.NotContains(t, g.Counters, rundir.CountPowerCap)
				require.NotContains(t, g.Counters, rundir.CountThermalHW)
				require.Contains(t, g.Counters, rundir.CountCorrected)
			},
		},
		"power readings of before": {
			func(s string) string {
				s = replace(`(?s)    GPU Power Readings.*?    Power Smoothing`, "    Power Readings\n        Power Management                  : Supported\n        Power Draw                        : 61.50 W\n        Power Limit                       : 400.00 W\n        Default Power Limit               : 500.00 W\n        Enforced Power Limit              : 400.00 W\n    Power Smoothing")(s)
				return s
			},
			func(t *testing.T, g rundir.GPU) {
				require.Equal(t, []float64{400, 500}, []float64{g.PowerLimit, g.PowerDefault})
			},
		},
		"errors of single and double bits": {
			replace(`(?s)    ECC Errors.*?    Remapped Rows`, `    ECC Errors
        Volatile
            Single Bit
                Device Memory             : 3
                Register File             : 0
                Total                     : 3
            Double Bit
                Device Memory             : 1
                Total                     : 1
        Aggregate
            Single Bit
                Total                     : 40
            Double Bit
                Total                     : 2
    Retired Pages
        Single Bit ECC                    : 5
        Double Bit ECC                    : 2
        Pending Page Blacklist            : No
    Remapped Rows`),
			func(t *testing.T, g rundir.GPU) {
				require.EqualValues(t, 3, g.Counters[rundir.CountCorrected])
				require.EqualValues(t, 1, g.Counters[rundir.CountUncorrected])
				require.EqualValues(t, 40, g.Counters[rundir.CountCorrectedAll])
				require.EqualValues(t, 2, g.Counters[rundir.CountUncorrectedAll])
				require.EqualValues(t, 7, g.Counters[rundir.CountRetired])
			},
		},
		"errors without the kinds of SRAM": {
			replace(`            SRAM Uncorrectable Parity                  : 0\n            SRAM Uncorrectable SEC-DED                 : 0\n            DRAM Correctable                           : 0`,
				"            SRAM Uncorrectable                         : 4\n            DRAM Correctable                           : 9"),
			func(t *testing.T, g rundir.GPU) {
				require.EqualValues(t, 9, g.Counters[rundir.CountCorrected])
				require.EqualValues(t, 4, g.Counters[rundir.CountUncorrected])
			},
		},
		"a card without ECC": {
			func(s string) string {
				return replace(`(?m)^(            (?:SRAM|DRAM) .*): (?:0|No)$`, "$1: N/A")(replace(`(?s)(ECC Mode\n +Current +: )Enabled`, "${1}N/A")(s))
			},
			func(t *testing.T, g rundir.GPU) {
				require.Empty(t, g.ECC)
				require.NotContains(t, g.Counters, rundir.CountCorrected)
				require.NotContains(t, g.Counters, rundir.CountUncorrectedAll)
			},
		},
		"MIG": {
			replace(`(MIG Mode\n +Current +: )Disabled`, "${1}Enabled"),
			func(t *testing.T, g rundir.GPU) { require.Equal(t, "enabled", g.MIG) },
		},
		"linked by NVLink switches": {
			replace(`(Fabric\n +State +: )N/A`, "${1}Completed"),
			func(t *testing.T, g rundir.GPU) { require.Equal(t, &rundir.NVLink{Fabric: "completed"}, g.NVLink) },
		},
		"lines end as on Windows": {
			func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
			func(t *testing.T, g rundir.GPU) { require.Equal(t, 1980, g.Clocks.MaxSM) },
		},
		"a card that is lost": {
			func(s string) string {
				return s[:strings.Index(s, "    Product Name")] + "    Unable to determine the device handle: GPU is lost\n"
			},
			func(t *testing.T, g rundir.GPU) {
				require.Equal(t, rundir.GPU{Bus: "00000000:00:06.0", Counters: rundir.Counter{}}, g)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			q, err := machine.ParseQuery([]byte(tt.edit(recorded(t, h200))))
			require.NoError(t, err)
			require.Len(t, q.GPUs, 1)
			tt.want(t, q.GPUs[0])
		})
	}
}

// Each field may be missing, in each of the ways in which drivers say so: what it told is absent, and all else stays.
func TestQueryWithoutEachField(t *testing.T) {
	t.Parallel()
	leaves := func(text string) map[string]string {
		q, err := machine.ParseQuery([]byte(text))
		require.NoError(t, err)
		b, err := json.Marshal(q)
		require.NoError(t, err)
		var tree any
		require.NoError(t, json.Unmarshal(b, &tree))
		out := map[string]string{}
		flatten(out, "", tree)
		return out
	}
	text := recorded(t, h200)
	whole, lines := leaves(text), strings.SplitAfter(text, "\n")
	lost := map[string]bool{}
	for i, line := range lines {
		field, _, isField := strings.Cut(line, " : ")
		if !isField {
			continue
		}
		for _, instead := range []string{"", field + " : N/A\n"} {
			got := leaves(strings.Join(lines[:i], "") + instead + strings.Join(lines[i+1:], ""))
			gone := 0
			for key, value := range whole {
				if value != got[key] {
					gone, lost[key] = gone+1, true
					require.Contains(t, []string{"", "0"}, got[key], "%s without %q", key, line)
				}
			}
			require.LessOrEqual(t, gone, 1, "without %q", line)
		}
	}
	require.Contains(t, lost, "/GPUs/0/uuid")
	require.Contains(t, lost, "/GPUs/0/counters/throttle_us.power_cap")
	require.Greater(t, len(lost), 15)
}

func flatten(out map[string]string, at string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			flatten(out, at+"/"+k, x)
		}
	case []any:
		for i, x := range v {
			flatten(out, fmt.Sprintf("%s/%d", at, i), x)
		}
	default:
		out[at] = fmt.Sprint(v)
	}
}

func TestQueryOfSeveralCards(t *testing.T) {
	text := recorded(t, h200)
	card := text[strings.Index(text, "GPU 00000000:00:06.0"):]
	q, err := machine.ParseQuery([]byte(text + strings.NewReplacer("00:06.0", "00:07.0", uuid, "GPU-2").Replace(card)))
	require.NoError(t, err)
	require.Len(t, q.GPUs, 2)
	require.Equal(t, []any{1, "GPU-2", "00000000:00:07.0"}, []any{q.GPUs[1].Index, q.GPUs[1].UUID, q.GPUs[1].Bus})
	q.GPUs[1].Index, q.GPUs[1].UUID, q.GPUs[1].Bus = 0, uuid, q.GPUs[0].Bus
	require.Equal(t, q.GPUs[0], q.GPUs[1])
}

func TestQueryOfSomethingElse(t *testing.T) {
	for _, text := range []string{"", "0\n1\n", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", "No devices were found\n"} {
		_, err := machine.ParseQuery([]byte(text))
		require.Error(t, err, text)
	}
}

func TestLinks(t *testing.T) {
	got := machine.ParseLinks([]byte("GPU 0: NVIDIA H200 (UUID: GPU-a)\n\t Link 0: 26.562 GB/s\n\t Link 1: 26.562 GB/s\nGPU 1: NVIDIA H200 (UUID: GPU-b)\n\t Link 0: 26.562 GB/s\n\t Link 1: <inactive>\n"))
	require.Equal(t, map[string]rundir.NVLink{"GPU-a": {Active: 2, Speed: 26.562}, "GPU-b": {Active: 1, Inactive: 1, Speed: 26.562}}, got)
	require.Empty(t, machine.ParseLinks(nil))
}

func samples(t *testing.T, text string) []machine.Sample {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(text), "\n")
	c, ok := machine.ParseColumns(lines[0])
	require.True(t, ok)
	var out []machine.Sample
	for _, l := range lines[1:] {
		s, ok := c.Sample(l)
		require.True(t, ok, l)
		out = append(out, s)
	}
	return out
}

func TestSamples(t *testing.T) {
	f := func(v float64) *float64 { return &v }
	load := samples(t, recorded(t, "580.159.04/loop.csv"))
	require.Len(t, load, 5)
	require.Equal(t, machine.Sample{GPU: 0, SM: f(1500), Mem: f(3201), Power: f(689.18), Temp: f(56), Util: f(99), Used: f(1011), Reasons: "0x0000000000000004"}, load[0])
	withUnits := samples(t, recorded(t, "580.159.04/sample-load.csv"))
	require.Equal(t, machine.Sample{GPU: 0, SM: f(1470), Mem: f(3201), Power: f(691.87), Temp: f(56), Util: f(100), Used: f(1011), Reasons: "0x0000000000000004"}, withUnits[0])

	head := "index, clocks.current.sm [MHz], power.draw [W], clocks_throttle_reasons.active\n"
	for line, want := range map[string]machine.Sample{
		"3, 1410, [N/A], 0x0000000000000040":                   {GPU: 3, SM: f(1410), Reasons: "0x0000000000000040"},
		"0, [Not Supported], [Unknown Error], [Not Supported]": {},
		"1, [GPU requires reset], 0, Not Active":               {GPU: 1, Power: f(0)},
		"2, 1 MHz, 5.5 W, 4":                                   {GPU: 2, SM: f(1), Power: f(5.5), Reasons: "4"},
	} {
		require.Equal(t, want, samples(t, head+line)[0], line)
	}
	c, _ := machine.ParseColumns(head)
	for _, line := range []string{"", "0, 1", "x, 1, 2, 3", "-1, 1, 2, 3", "Unable to determine the device handle for GPU0: Unknown Error"} {
		_, ok := c.Sample(line)
		require.False(t, ok, line)
	}
	for _, line := range []string{"", "0", `Field "clocks_event_reasons.active" is not a valid field to query.`, "No devices were found"} {
		_, ok := machine.ParseColumns(line)
		require.False(t, ok, line)
	}
}

func TestProcesses(t *testing.T) {
	require.Empty(t, machine.ParseProcesses(""))
	two := strings.ReplaceAll(recorded(t, "580.159.04/apps-two.csv"), ", 1002 MiB", "") // recorded with a column more
	require.Equal(t, []machine.Process{{uuid, 470, "python3"}, {uuid, 530, "python3"}}, machine.ParseProcesses(two))
	require.Equal(t, []machine.Process{{"GPU-a", 7, ""}, {"GPU-b", 8, "/opt/a, b"}},
		machine.ParseProcesses("GPU-a, 7, [Not Found]\nGPU-a, [N/A], x\nno, such\nGPU-b, 8, /opt/a, b\n"))
}

func TestStat(t *testing.T) {
	before := "cpu  100 0 0 900 0 0 0 0 0 0\ncpu0 50 0 0 450 0 0 0 0 0 0\ncpu1 50 0 0 450 0 0 0 0 0 0\nintr 1\n"
	after := "cpu  200 0 0 1700 0 0 0 100 0 0\ncpu0 100 0 0 900 0 0 0 0 0 0\ncpu1 100 0 0 800 0 0 0 100 0 0\nintr 1\n"
	for set, want := range map[string]float64{"": 10, "0": 0, "1": 20, "0-1": 10} {
		a, ok := machine.ParseStat(before, machine.ParseSet(set))
		require.True(t, ok)
		b, _ := machine.ParseStat(after, machine.ParseSet(set))
		got, ok := machine.Stolen(a, b)
		require.True(t, ok)
		require.InDelta(t, want, got, 1e-9, "cpus %q", set)
	}
	_, ok := machine.ParseStat("intr 1\n", nil)
	require.False(t, ok)
	_, ok = machine.Stolen(machine.Ticks{Steal: 2, Total: 5}, machine.Ticks{Steal: 1, Total: 9})
	require.False(t, ok, "a counter that goes back says nothing")
}

func TestSet(t *testing.T) {
	require.Equal(t, machine.Set{0: true, 1: true, 2: true, 8: true}, machine.ParseSet("0-2,8\n"))
	require.Empty(t, machine.ParseSet("x"))
	require.LessOrEqual(t, len(machine.ParseSet("0-99999999999")), 1<<16)
}

func TestVariable(t *testing.T) {
	for name, want := range map[string]bool{
		"NCCL_DEBUG": true, "UCX_TLS": true, "CUDA_LAUNCH_BLOCKING": true, "PATH": false, "HOME": false, "NCCL_AUTH_TOKEN": false, "UCX_PASSWORD": false, "MY_NCCL_X": false,
	} {
		require.Equal(t, want, machine.Variable(name), name)
	}
}

func FuzzQuery(f *testing.F) {
	b, err := os.ReadFile(filepath.Join("testdata", h200))
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte("Driver Version : 1\nGPU x\n  A : [N/A]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		q, err := machine.ParseQuery(text)
		if err != nil {
			return
		}
		for i, g := range q.GPUs {
			require.Equal(t, i, g.Index)
			for _, v := range []string{g.UUID, g.Name, q.Driver} {
				require.Equal(t, strings.TrimSpace(v), v)
			}
		}
	})
}

func FuzzSample(f *testing.F) {
	f.Add("index, clocks.sm", "0, 1980")
	f.Add("index, power.draw [W], clocks_event_reasons.active", "0, [N/A], 0x4")
	f.Fuzz(func(t *testing.T, head, line string) {
		c, ok := machine.ParseColumns(head)
		if s, read := c.Sample(line); ok && read {
			require.GreaterOrEqual(t, s.GPU, 0)
		}
		machine.ParseProcesses(line)
		machine.ParseLinks([]byte(line))
		machine.ParseStat(line, machine.ParseSet(head))
	})
}
