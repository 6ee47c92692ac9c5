package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/nights"
)

// TestTheShellIsOffered run ids, cases, roles, metrics and the words of flags.
func TestTheShellIsOffered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "ci-disagg.yaml")
	require.NoError(t, os.WriteFile(config, []byte("runs_dir: runs\nperf: {store: \"dir:store\"}\nclusters: {gb200: {gpus_per_node: 4}}\n"+
		"pipelines: {web: {roles: [{name: client, kind: client, command: [\"true\"]}]}}\ncases: [{vars: {concurrency: [8, 64]}}]\n"), 0o600))
	store, err := baseline.Open(t.Context(), "dir:"+filepath.Join(dir, "store"), true)
	require.NoError(t, err)
	require.NoError(t, nights.Suite{Cases: 2, Nights: 3, Last: time.Now()}.Records(func(r baseline.Record) error {
		_, err := store.Save(t.Context(), r)
		return err
	}))
	run1 := rundir.Dir(filepath.Join(dir, "runs", "nightly-41"))
	require.NoError(t, rundir.WriteJSON(run1.RunFile(), rundir.Run{Schema: 1, ID: "nightly-41", Cases: []rundir.CaseState{{ID: "redis[concurrency=8]", Slug: "redis-8"}}}))
	for line, want := range map[string]string{
		"status ":                      "nightly-41",
		"confirm ":                     "nightly-41",
		"cancel --run-id ":             "nightly-41",
		"logs nightly-41 ":             "redis[concurrency=8]",
		"baseline show --case ":        nights.CaseID(1),
		"trends --store ":              "",
		"compare --case ":              nights.CaseID(0),
		"compare --metric ":            "ttft_median_ms",
		"compare -o ":                  "html",
		"compare ":                     "run:nightly-41",
		"compare run:nightly-41 ":      "cluster:gb200",
		"baseline pin ":                "--case",
		"baseline pin --case x ":       "output_token_throughput",
		"baseline accept --case x ":    "tpot_median_ms",
		"baseline show -o ":            "json",
		"list -o ":                     "json",
		"run --cluster ":               "gb200",
		"run ":                         "web[concurrency=8]",
		"plan web[concurrency=8] ":     "web[concurrency=64]",
		"bisect ":                      nights.CaseID(1),
		"baseline show --store dir:no": "",
	} {
		h := newHost()
		h.patience = time.Hour // how fast this machine is does not matter here
		var out, errs bytes.Buffer
		h.stdout, h.stderr = &out, &errs
		h.getwd = func() (string, error) { return dir, nil }
		args := strings.Split(line, " ")
		code := run(t.Context(), h, append([]string{"__complete"}, args...))
		require.Equal(t, exit.Passed, code, "%s: %s", line, errs.String())
		if want == "" {
			require.NotContains(t, out.String(), "nightly", line)
			continue
		}
		var offered []string
		for l := range strings.Lines(out.String()) {
			word, _, _ := strings.Cut(strings.TrimSuffix(l, "\n"), "\t")
			offered = append(offered, word)
		}
		require.Contains(t, offered, want, line)
	}
}
