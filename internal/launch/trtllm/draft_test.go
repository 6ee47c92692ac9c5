package trtllm

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/userfile"
)

// A draft that calls upstream's precheck finds it, as under upstream's generator, and only where it is switched on.
func TestPrecheckGateOfADraft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	draft := write("draft.sh", "if declare -F run_cache_transceiver_precheck >/dev/null; then\n  run_cache_transceiver_precheck || exit 7\nfi\necho benchmark\n")
	_, err := ReadDraft(userfile.Read, draft)
	require.ErrorContains(t, err, "calls run_cache_transceiver_precheck, which upstream's slurm_ct_precheck_gate.sh defines: put that file beside the draft")

	write("slurm_ct_precheck_gate.sh", "run_cache_transceiver_precheck() { echo precheck; }\n")
	text, err := ReadDraft(userfile.Read, draft)
	require.NoError(t, err)
	for enabled, want := range map[string]string{"1": "precheck\nbenchmark\n", "0": "benchmark\n"} {
		cmd := exec.CommandContext(t.Context(), "bash", "-c", string(text))
		cmd.Env = append(os.Environ(), "ctPrecheckEnabled="+enabled)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Equal(t, want, string(out))
	}
	for name, own := range map[string]string{
		"none.sh": "echo run_cache_transceiver_precheck\n", "own.sh": "run_cache_transceiver_precheck() { :; }\nrun_cache_transceiver_precheck\n", "trailing.sh": "echo a \\\n",
	} {
		text, err := ReadDraft(userfile.Read, write(name, own))
		require.NoError(t, err)
		require.Equal(t, own, string(text), "as it is")
	}
	_, err = ReadDraft(userfile.Read, write("broken.sh", "true\nif then\n"))
	require.ErrorContains(t, err, "broken.sh: not a bash script: line 2: syntax error near unexpected token `then'")
}
