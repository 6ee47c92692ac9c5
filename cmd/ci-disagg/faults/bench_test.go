package faults_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
)

// BenchmarkGenCrash measures how long a job goes on after its generation server has crashed: with the agent, and with
// the plain draft of testdata/draft.sh, whose client gives up after 60 s.
func BenchmarkGenCrash(b *testing.B) {
	var with, without time.Duration
	var endWith, endWithout string
	for range b.N {
		d, end := crashWithAgent(b)
		with, endWith = with+d, end
		d, end = crashWithDraft(b)
		without, endWithout = without+d, end
	}
	n := time.Duration(b.N)
	b.ReportMetric((with / n).Seconds(), "s/agent")
	b.ReportMetric((without / n).Seconds(), "s/draft")
	fmt.Printf("\nseconds from GEN_0's crash to the end of its job\n  with the agent:   %6.1f  Slurm: %s\n  plain draft:      %6.1f  Slurm: %s\n\n",
		(with / n).Seconds(), endWith, (without / n).Seconds(), endWithout)
}

const crash = "GEN_0:crash-before-ready"

func crashWithAgent(b *testing.B) (time.Duration, string) {
	r := newRow(b, fault{knob: crash})
	r.run(b)
	r.until(b, time.Minute, "a job id", func() bool { return submitted(r) })
	end := gone(b, r, r.job().ID)
	require.Equal(b, 1, r.wait(b))
	require.Equal(b, rundir.OutcomeTestFailed, runtest.Outcome(b, r.dir).Outcome)
	for _, role := range r.agent().Roles {
		if role.Name == "GEN_0" {
			return end.Sub(*role.Ended), sacctEnd(b, r, r.job().ID)
		}
	}
	b.Fatal("no record of GEN_0")
	return 0, ""
}

func crashWithDraft(b *testing.B) (time.Duration, string) {
	r := newRow(b, fault{})
	dir := filepath.Dir(string(r.dir))
	draft, err := filepath.Abs("testdata/draft.sh")
	require.NoError(b, err)
	out, err := r.c.Try("env", "testOutputDir="+dir+"/output", "CI_DISAGG_FAULT="+crash, "sbatch", "--parsable", "-N2", "--exclusive", "-t", "5",
		"-o", dir+"/slurm.out", draft, filepath.Join(root, "testdata/workload"), runtest.Small)
	require.NoError(b, err, out)
	b.Cleanup(func() { _, _ = r.c.Try("scancel", out) })
	end := gone(b, r, out)
	text, err := os.ReadFile(dir + "/run-0/output/GEN_0.ended")
	require.NoError(b, err)
	sec, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	require.NoError(b, err)
	return end.Sub(time.UnixMicro(int64(sec * 1e6))), sacctEnd(b, r, out)
}

// gone is when a job was first seen to have ended.
func gone(b *testing.B, r *row, id string) time.Time {
	b.Helper()
	r.until(b, 3*time.Minute, "the end of job "+id, func() bool {
		state, err := r.c.Try("squeue", "-h", "-t", "all", "-j", id, "-o", "%T")
		return err == nil && state != "PENDING" && state != "RUNNING" && state != "COMPLETING" && state != "CONFIGURING"
	})
	return time.Now()
}

func sacctEnd(b *testing.B, r *row, id string) string {
	b.Helper()
	return strings.Join(r.c.Sacct(b, id, "State", "ExitCode")[0], " ")
}
