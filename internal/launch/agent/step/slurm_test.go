package step

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// While Slurm is asked for the steps' ids, nobody who only wants to know them waits: the loop writes its record
// meanwhile.
func TestStepIDWhileSqueueHangs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	asked, answer := filepath.Join(dir, "asked"), filepath.Join(dir, "answer")
	squeue := "#!/bin/sh\ncase $* in *-a*) ;; *) exit 0 ;; esac # a hidden partition\n: >" + asked + "\nuntil [ -e " + answer + " ]; do sleep 0.05; done\nprintf '7.0|GEN_0\\n7.1|CTX_0\\n'\n"
	require.NoError(t, rundir.WriteFile(filepath.Join(dir, "squeue"), []byte(squeue), rundir.ExecMode))
	s := NewSlurm(rundir.Plan{}, script.RunPlace{}, []string{"PATH=" + dir + ":" + os.Getenv("PATH")}, "7", time.Now)
	first := make(chan string)
	go func() { first <- s.stepID(t.Context(), "GEN_0") }()
	require.Eventually(t, func() bool { _, err := os.Stat(asked); return err == nil }, 3*time.Minute, 10*time.Millisecond)

	require.Empty(t, s.known("GEN_0"))
	require.Empty(t, s.stepID(t.Context(), "CTX_0"), "one question at a time")
	require.NoError(t, os.WriteFile(answer, nil, 0o600))
	require.Equal(t, "7.0", <-first)
	require.Equal(t, "7.1", s.known("CTX_0"), "it was for all steps")
}
