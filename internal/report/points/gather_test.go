package points

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

const samples = "../../../testdata/bench"

func TestGatherOutputDirectory(t *testing.T) {
	t.Parallel()
	found, err := Reader{}.Gather(filepath.Join(samples, "gen-server"))
	require.NoError(t, err)
	require.Empty(t, found.Problems)
	require.Len(t, found.Results, 1, "the servers' step times belong to the only client")
	r := found.Results[0]
	mean, ok := r.Value("gen_device_step_time_mean_ms")
	require.True(t, ok)
	require.InDelta(t, 7.53, mean, 0.02, "the mean of both servers, without idle and ramp rows")
	require.Empty(t, Validate(found.Results, rundir.Expected{
		Points:     []rundir.Point{{Name: "con2048", Concurrency: 2048, Requests: 2048, InputLen: 1024, OutputLen: 1024}},
		Metrics:    []string{"output_token_throughput", "tpot_median_ms", "ttft_median_ms"},
		DeviceStep: true,
	}))
	require.Len(t, found.Files, 3)
	require.NotEmpty(t, found.Ignored)
}

// A server that is ended may tear its own files; that must not spoil the
// measurement beside them. A torn benchmark must.
func TestGatherTellsTornBenchmarksFromTornLogs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	whole, err := os.ReadFile(filepath.Join(samples, "trtllm/nan.json"))
	require.NoError(t, err)
	write("result.json", string(whole))
	write("perf_metrics-0.jsonl", `{"request_id": 1, "arrival": 1.5}`+"\n"+`{"request_id": 2, "arr`)
	found, err := Reader{}.Gather(dir)
	require.NoError(t, err)
	require.Empty(t, found.Problems)
	require.Len(t, found.Results, 1)
	require.Len(t, found.Ignored, 1)

	write("second.json", string(whole[:400]))
	found, err = Reader{}.Gather(dir)
	require.NoError(t, err)
	require.Len(t, found.Problems, 1)
	require.Contains(t, found.Problems[0].String(), "second.json:1: the file ends inside a JSON value")

	found, err = Reader{}.Gather(filepath.Join(dir, "perf_metrics-0.jsonl"))
	require.NoError(t, err)
	require.Len(t, found.Problems, 1, "a file that was named must hold something")
	_, err = Reader{}.Gather(filepath.Join(dir, "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// A pipe that nobody writes to must not hold the build.
func TestGatherRefusesAPipe(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "benchmark.log")
	require.NoError(t, unix.Mkfifo(pipe, 0o600))
	found, err := Reader{}.Gather(pipe)
	require.NoError(t, err)
	require.Len(t, found.Problems, 1)
	require.Contains(t, found.Problems[0].String(), pipe+": is a FIFO, not a regular file, and was not read")
}

// What is no regular file, or leads out of the directory, is a problem with its
// name: nothing is waited for, and nothing outside is read.
func TestGatherIsNotLedAstray(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	whole, err := os.ReadFile(filepath.Join(samples, "trtllm/nan.json"))
	require.NoError(t, err)
	table, err := os.ReadFile(filepath.Join(samples, "trtllm/spec-decoding-all-statistics.log"))
	require.NoError(t, err)
	outside := filepath.Join(dir, "outside.json")
	require.NoError(t, os.WriteFile(outside, whole, 0o600))
	output := filepath.Join(dir, "attempt", "output")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "attempt", "roles"), 0o700))
	require.NoError(t, os.MkdirAll(output, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "attempt", "roles", "client.log"), table, 0o600))
	for name, target := range map[string]string{
		"a-role.log": "../roles/client.log", "b-out.json": "../../outside.json", "c-abs.json": outside,
		"d-loop.json": "d-loop.json", "e-dir": "../roles", "f-dev.json": "/dev/zero",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(output, name)))
	}
	require.NoError(t, unix.Mkfifo(filepath.Join(output, "g-pipe.json"), 0o600))

	tree, err := rundir.OpenTree(filepath.Join(dir, "attempt"))
	require.NoError(t, err)
	links := map[string]string{filepath.Join(output, "a-role.log"): filepath.Join(dir, "attempt", "roles", "client.log")}
	found, err := Reader{}.GatherTree(tree, links, output)
	require.NoError(t, err)
	require.NoError(t, tree.Close())
	require.Len(t, found.Results, 1, "the role's log, which the agent linked into the outputs")
	require.Equal(t, []string{filepath.Join(output, "a-role.log")}, found.Files)
	var problems []string
	for _, p := range found.Problems {
		require.Contains(t, p.Text, "not a regular file, and was not read")
		problems = append(problems, filepath.Base(p.File))
	}
	require.Equal(t, []string{"b-out.json", "c-abs.json", "d-loop.json", "e-dir", "f-dev.json", "g-pipe.json"}, problems)

	// A link that a person names is that person's.
	found, err = Reader{}.Gather(filepath.Join(output, "b-out.json"))
	require.NoError(t, err)
	require.Len(t, found.Results, 1)
}

// An aggregated case writes server and client into one log, which is named as a
// generation server's.
func TestGatherTablesInAServerLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log, err := os.ReadFile(filepath.Join(samples, "gen-server/gen_server_0.log"))
	require.NoError(t, err)
	table, err := os.ReadFile(filepath.Join(samples, "trtllm/spec-decoding-all-statistics.log"))
	require.NoError(t, err)
	path := filepath.Join(dir, "gen_server_0.log")
	require.NoError(t, os.WriteFile(path, append(log, table...), 0o600))
	require.NoError(t, os.Symlink(path, filepath.Join(dir, "link.log")))
	require.NoError(t, os.Symlink(filepath.Join(dir, "gone"), filepath.Join(dir, "dead.log")))
	found, err := Reader{}.Gather(path)
	require.NoError(t, err)
	require.Empty(t, found.Problems)
	require.Len(t, found.Results, 1)
	_, ok := found.Results[0].Value("tpot_median_ms")
	require.True(t, ok)
	_, ok = found.Results[0].Value("gen_device_step_time_mean_ms")
	require.True(t, ok)
	again, err := Reader{}.Gather(dir)
	require.NoError(t, err)
	require.Len(t, again.Problems, 2, "the links")
	require.Len(t, again.Results, 1)
}
