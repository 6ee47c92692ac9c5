package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// In whatever form a store's URL is given, and wherever: its password is in no message.
func TestAStoresPasswordIsNeverShown(t *testing.T) {
	t.Parallel()
	const password = "hunter2"
	urls := []string{
		"postgres://ci:hunter2@localhost:1/perf", "postgresql://ci:hunter2@localhost:1/perf?sslmode=bogus", "postgres://ci:hunter2@localhost:port/perf",
		"postgres://ci:a/hunter2@localhost:1/perf", "postgres://ci:12/hunter2@localhost:1/perf", "postgres://ci:12#hunter2@localhost/perf",
		"postgres://ci:12?hunter2@localhost/perf", "postgres://ci:a@b/hunter2@localhost/perf", "postgres://ci:%zzhunter2@localhost/perf",
		"postgres://ci:[hunter2@localhost/perf", "postgres://localhost:1/perf?user=ci&password=hunter2", "postgres://localhost/perf?password=hunter2&sslmode=x",
		"host=localhost user=ci password=hunter2 dbname=perf", "ci:hunter2@localhost/perf", "hunter2@localhost", "mysql://ci:hunter2@localhost/perf",
		"Postgres://ci:hunter2@localhost/perf", " postgres://ci:hunter2@localhost:1/perf", "postgres:ci:hunter2@localhost", "postgres//ci:hunter2@localhost",
		"postgres://ci:hunter2@localhost:1/perf\n", "'postgres://ci:hunter2@localhost:1/perf'", "postgres://ci:hunter2@/perf?host=/nowhere&connect_timeout=x",
	}
	test := "disagg-gen_only-six_gpus"
	classes := [][][]string{ // verbs that use a store in one way
		{{"plan", "--cluster", "gb200", test}, {"plan", "-o", "json", "--cluster", "gb200", test}},
		{{"run", "--cluster", "gb200", test}},
		{{"judge", "--case", "c", "pins.yaml"}, {"judge", "--save", "--case", "c", "pins.yaml"}},
		{{"baseline", "show"}, {"baseline", "show", "--case", "c"}, {"baseline", "export"}},
		{
			{"baseline", "accept", "--case", "c", "--reason", "r", "--by", "me"},
			{"baseline", "prune", "--reason", "r", "--by", "me", "--older-than", "9d", "--mode", "pr"},
			{"baseline", "import", "--reason", "r", "--by", "me", "pins.yaml"},
			{"baseline", "replay", "--reason", "r", "--by", "me"},
		},
	}
	for i, url := range urls {
		for j, verbs := range classes {
			for k, where := range []string{"environment", "config", "flag"} {
				if testing.Short() && k != (i+j)%3 {
					continue
				}
				v := verbs[(i+k)%len(verbs)]
				env := []string{"HF_TOKEN=hf_x1234", "HOME=" + t.TempDir()}
				args := v
				if where == "environment" {
					env = append(env, "CI_DISAGG_STORE="+url)
				}
				if where == "flag" {
					if v[0] == "plan" || v[0] == "run" {
						continue
					}
					args = append(append([]string{}, v...), "--store", url)
				}
				h, out, errs := planHost(t, env...)
				h.stdin = strings.NewReader("")
				if where == "config" {
					dir, err := h.getwd()
					require.NoError(t, err)
					quoted := "\n  store: \"" + strings.NewReplacer("\n", `\n`).Replace(url) + "\"\n"
					text := strings.Replace(planConfig, "\nperf:", "\nperf:"+quoted, 1)
					require.NotEqual(t, planConfig, text)
					require.NoError(t, os.WriteFile(filepath.Join(dir, "ci-disagg.yaml"), []byte(text), 0o600))
				}
				_ = run(t.Context(), h, args)
				for _, b := range []*bytes.Buffer{out, errs} {
					require.NotContains(t, b.String(), password, "%s of %q in the %s", strings.Join(v, " "), url, where)
				}
			}
		}
	}
}
