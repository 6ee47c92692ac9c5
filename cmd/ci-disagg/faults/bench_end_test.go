package faults_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
)

// beforeEnv names the checkout of another commit, which is measured in turn with this one.
const beforeEnv = "CI_DISAGG_BENCH_BEFORE"

// BenchmarkEnd measures how soon a run is over, on an idle machine: from the end of its generation server to the end of
// the agent's record and to the exit of `run`, and from a SIGTERM to scancel.
func BenchmarkEnd(b *testing.B) {
	binaries, now := []string{binary}, binary
	if checkout := os.Getenv(beforeEnv); checkout != "" {
		before, err := runtest.Build(checkout, b.TempDir())
		require.NoError(b, err)
		binaries = append(binaries, before)
	}
	defer func() { binary = now }()
	took := make([][3][]time.Duration, len(binaries)) // by binary: record, exit, scancel
	for range b.N {
		for i := range binaries {
			binary = binaries[i]
			for what, d := range endAfterCrash(b) {
				took[i][what] = append(took[i][what], d)
			}
		}
	}
	fmt.Printf("\nmedian of %d, on a machine that should do nothing else      seconds  wanted\n", b.N)
	for what, row := range []struct {
		what   string
		wanted time.Duration
	}{
		{"GEN_0's end to the end of the agent's record", 3 * time.Second},
		{"GEN_0's end to the exit of run", 5 * time.Second},
		{"SIGTERM to scancel", 50 * time.Millisecond},
	} {
		m := median(took[0][what])
		fmt.Printf("  %-56s %7.3f  %5.2f   %s", row.what, m.Seconds(), row.wanted.Seconds(), map[bool]string{true: "ok", false: "MORE"}[m <= row.wanted])
		if len(took) > 1 {
			fmt.Printf("   before: %.3f", median(took[1][what]).Seconds())
		}
		fmt.Println()
	}
	fmt.Println()
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// endAfterCrash is one go of each: a run whose generation server crashes, and one that is told to end.
func endAfterCrash(b *testing.B) [3]time.Duration {
	b.Helper()
	r := newRow(b, fault{knob: "GEN_0:crash-while-serving"})
	r.run(b)
	require.Equal(b, 1, r.wait(b))
	left := time.Now()
	rec := r.agent()
	i := slices.IndexFunc(rec.Roles, func(role rundir.RoleRecord) bool { return role.Name == "GEN_0" })
	require.GreaterOrEqual(b, i, 0)
	ended := *rec.Roles[i].Ended
	return [3]time.Duration{rec.End.At.Sub(ended), left.Sub(ended), termToCancel(b)}
}

func termToCancel(b *testing.B) time.Duration {
	b.Helper()
	r := newRow(b, fault{tokenMS: long, fakes: map[string]string{"scancel": logged}})
	r.run(b)
	r.until(b, runtest.Soon, "the benchmark", func() bool { return r.agent().Phase == rundir.PhaseBenchmark })
	r.act()
	require.NoError(b, r.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(b, 143, r.wait(b))
	text, err := os.ReadFile(filepath.Join(filepath.Dir(string(r.dir)), "scancel"))
	require.NoError(b, err)
	first, _, _ := strings.Cut(string(text), "\n")
	sec, err := strconv.ParseFloat(first, 64)
	require.NoError(b, err)
	return time.UnixMicro(int64(sec * 1e6)).Sub(r.acted)
}
