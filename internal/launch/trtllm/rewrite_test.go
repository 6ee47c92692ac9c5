package trtllm

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"mvdan.cc/sh/v3/syntax"
)

const results = ` --junit-xml="$CI_DISAGG_RUN/roles/${CI_DISAGG_ROLE:-${DISAGG_SERVING_TYPE:-AGG}}/results.${SLURM_PROCID:-0}.xml"`

func own(name string) string {
	return `"$CI_DISAGG_RUN/roles/${CI_DISAGG_ROLE:-${DISAGG_SERVING_TYPE:-AGG}}/` + name + `"`
}

func TestLauncherIsFoundAndRemovedWhereverItStands(t *testing.T) {
	t.Parallel()
	for src, bare := range map[string]string{
		"trtllm-llmapi-launch pytest a":                            "pytest a",
		"'trtllm-llmapi-launch' pytest a":                          "pytest a",
		`"trtllm-llmapi-launch"  pytest a`:                         "pytest a",
		`trtllm-llmapi-"launch" pytest a`:                          "pytest a",
		`trtllm-llmapi\-launch pytest a`:                           "pytest a",
		"/opt/bin/trtllm-llmapi-launch pytest a":                   "pytest a",
		"A=b C='d e' trtllm-llmapi-launch pytest a":                "A=b C='d e' pytest a",
		"env A=b trtllm-llmapi-launch pytest a":                    "env A=b pytest a",
		"numactl -m 0,1 trtllm-llmapi-launch python3 -m pytest a":  "numactl -m 0,1 python3 -m pytest a",
		"cd /x && trtllm-llmapi-launch pytest a; echo $?":          "cd /x && pytest a; echo $?",
		"unset UCX_TLS && A=1 trtllm-llmapi-launch \\\n  pytest a": "unset UCX_TLS && A=1 pytest a",
		"bash -c 'trtllm-llmapi-launch pytest a -k \"x y\"'":       "bash -c 'pytest a -k \"x y\"'",
		"if true; then trtllm-llmapi-launch pytest a; fi":          "if true; then pytest a; fi",
		"pytest a":                         "pytest a",
		"pytest a -k trtllm-llmapi-launch": "pytest a -k trtllm-llmapi-launch",
		"echo trtllm-llmapi-launching && pytest trtllm-llmapi-launch": "echo trtllm-llmapi-launching && pytest trtllm-llmapi-launch",
		"X=trtllm-llmapi-launch pytest a":                             "X=trtllm-llmapi-launch pytest a",
	} {
		o := rewriteOptions{launcher: DefaultLauncher, pytest: "pytest"}
		kept, err := rewrite(src, o)
		require.NoError(t, err)
		require.Equal(t, src, kept.text, "nothing to change")
		require.Equal(t, src != bare, kept.launcher, src)
		o.dropLauncher = true
		got, err := rewrite(src, o)
		require.NoError(t, err)
		require.Equal(t, strings.Join(strings.Fields(bare), " "), strings.Join(strings.Fields(strings.ReplaceAll(got.text, "\\\n", " ")), " "), src)
		again, err := rewrite(got.text, o)
		require.NoError(t, err)
		require.False(t, again.launcher, "removed for good")
	}
}

func TestResultFilesAreRedirected(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		"pytest a": "pytest a" + results,
		"pytest a --junit-xml=/ws/results.xml -v":    "pytest a" + results + " -v",
		"pytest a --junitxml=/ws/results.xml":        "pytest a --junitxml=" + own("results.${SLURM_PROCID:-0}.xml"),
		"pytest a --junit-xml /ws/results.xml -v":    "pytest a" + results + " -v",
		"pytest a --junitxml '/w s/r.xml' -v":        "pytest a --junitxml=" + own("results.${SLURM_PROCID:-0}.xml") + " -v",
		`pytest a --junit-xml="$WS/results.xml" -v`:  "pytest a" + results + " -v",
		`pytest a "--junit-xml=$WS/results.xml"`:     "pytest a" + results,
		"pytest a && echo ok":                        "pytest a" + results + " && echo ok",
		"pytest a > log 2>&1":                        "pytest a" + results + " > log 2>&1",
		"pytest a -- --junit-xml=x":                  "pytest a" + results + " -- --junit-xml=x",
		"python3 -m pytest a":                        "python3 -m pytest a" + results,
		"pytest a --csv=/ws/report.csv":              "pytest a --csv=" + own("report.${SLURM_PROCID:-0}.csv") + results,
		"pytest a --csv /ws/report.csv -v":           "pytest a --csv=" + own("report.${SLURM_PROCID:-0}.csv") + " -v" + results,
		"pytest a --cov=x --cov-report=html:/ws/cov": "pytest a --cov=x --cov-report=html:" + own("cov.${SLURM_PROCID:-0}") + results,
		"pytest a --cov-report xml":                  "pytest a --cov-report=xml:" + own("coverage.${SLURM_PROCID:-0}.xml") + results,
		"pytest a --cov-report=term-missing":         "pytest a --cov-report=term-missing" + results,
		"pytest a --cov-config=/ws/.coveragerc":      "pytest a --cov-config=/ws/.coveragerc" + results,
		"pytest a --output-dir=/ws/ --perf":          `pytest a --output-dir="$CI_DISAGG_RUN/by-case" --perf` + results,
		"pytest a --periodic-junit --periodic-batch-size=1 --periodic-junit-xmlpath /ws/results.xml":   "pytest a --periodic-junit --periodic-batch-size=1 --periodic-junit-xmlpath=" + own("results.${SLURM_PROCID:-0}.xml"),
		"pytest a --periodic-junit-xmlpath=/ws/results.xml --junit-xml=b.xml":                          "pytest a --periodic-junit-xmlpath=" + own("other-results.${SLURM_PROCID:-0}.xml") + results,
		"pytest a --periodic-junit --periodic-junit-xmlpath=/ws/results.xml --csv=/ws/r.csv":           "pytest a --periodic-junit --periodic-junit-xmlpath=" + own("results.${SLURM_PROCID:-0}.xml") + " --csv=" + own("r.${SLURM_PROCID:-0}.csv"),
		"pytest --periodic-save-unfinished-test --csv=/ws/r.csv --periodic-junit perf/t.py::t[a/b] -x": "pytest --periodic-save-unfinished-test --csv=" + own("r.${SLURM_PROCID:-0}.csv") + " --periodic-junit perf/t.py::t[a/b] -x" + results,
		"pytest --periodic-hang-traceback perf/t.py --periodic-interval 18.5":                          "pytest --periodic-hang-traceback perf/t.py --periodic-interval 18.5" + results,
		"pytest --periodic-new-flag perf/t.py --periodic-list /ws/unfinished.txt":                      "pytest --periodic-new-flag perf/t.py --periodic-list=" + own("unfinished.${SLURM_PROCID:-0}.txt") + results,
		"pytest a --csv --junit-xml": "pytest a --csv --junit-xml" + results,
		"pytest a; pytest b":         "pytest a" + results + "; pytest b --junit-xml=" + own("results.${SLURM_PROCID:-0}-2.xml"),
		"pytest -v perf/t.py --test-list=/ws/list.txt --splits 4 --group 2 --splitting-algorithm least_duration -x": "pytest -v perf/t.py --test-list=\"$CI_DISAGG_ATTEMPT/test_list.txt\"    -x" + results,
		"pytest a --splits 4 --group 2":                             "pytest a --splits 4 --group 2" + results,
		"./run_tests.sh a":                                          "./run_tests.sh a",
		"pytest a -k 'x y' --opt=\"$(printf '%s' \"a b\")\" # note": "pytest a -k 'x y' --opt=\"$(printf '%s' \"a b\")\"" + results + " # note",
	} {
		got, err := rewrite(src, rewriteOptions{launcher: DefaultLauncher, pytest: "pytest", redirect: true})
		require.NoError(t, err, src)
		require.Equal(t, want, got.text)
	}
}

func TestRewriteRefusesWhatIsNoCommand(t *testing.T) {
	t.Parallel()
	for _, src := range []string{"pytest 'a", "pytest $(", "if pytest", "pytest `x", "a &&"} {
		_, err := rewrite(src, rewriteOptions{launcher: DefaultLauncher})
		require.ErrorContains(t, err, "not a bash command", src)
	}
}

// words is how bash splits a command that calls printf in pytest's place.
func words(t *testing.T, command string) []string {
	t.Helper()
	cmd := exec.Command("bash", "-c", `pytest() { printf '%s\0' "$@"; }; trtllm-llmapi-launch() { "$@"; }; `+command)
	cmd.Env = []string{"CI_DISAGG_ATTEMPT=/a", "CI_DISAGG_RUN=/a", "HOME=/h"}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", command, out)
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// Upstream finds its launcher wherever the text has its name: behind a variable, as a path.
func TestLauncherBehindAVariable(t *testing.T) {
	t.Parallel()
	for src, bare := range map[string]string{
		`$llmSrcNode/tensorrt_llm/llmapi/trtllm-llmapi-launch pytest x`:      `pytest x`,
		`"$llmSrcNode/llmapi/trtllm-llmapi-launch" pytest x`:                 `pytest x`,
		`${SRC}/"llmapi"/trtllm-llmapi-launch $VENV/bin/pytest x`:            `$VENV/bin/pytest x`,
		`numactl -m 0 $(dirname "$a")/trtllm-llmapi-launch python -m pytest`: `numactl -m 0 python -m pytest`,
	} {
		got, err := rewrite(src, rewriteOptions{launcher: DefaultLauncher, pytest: "pytest", dropLauncher: true})
		require.NoError(t, err, src)
		require.True(t, got.launcher, src)
		require.True(t, got.pytest, src)
		require.Equal(t, bare, got.text)
	}
	for src, name := range map[string]string{
		`"$LLM_LAUNCHER" pytest x`:                                            "LLM_LAUNCHER",
		`bash -c '$LLM_LAUNCHER pytest x'`:                                    "LLM_LAUNCHER",
		`L=$llmSrcNode/tensorrt_llm/llmapi/trtllm-llmapi-launch; $L pytest x`: "L",
		`export L=trtllm-llmapi-launch && $L pytest x`:                        "L",
		`cmd=(trtllm-llmapi-launch pytest); "${cmd[@]}" x`:                    "cmd",
	} {
		_, err := rewrite(src, rewriteOptions{launcher: DefaultLauncher, pytest: "pytest"})
		require.ErrorContains(t, err, "whether $"+name+" is the launcher", src)
	}
	got, err := rewrite(`$NUMACTL pytest $launchOptions`, rewriteOptions{launcher: DefaultLauncher, pytest: "pytest"})
	require.NoError(t, err)
	require.False(t, got.launcher)
	for _, option := range []string{"--junit-x=/tmp/r.xml", "--junit-xm /tmp/r.xml", "--junitx=/tmp/r.xml", "--junit-xml=/tmp/r.xml"} {
		got, err := rewrite("pytest x "+option, rewriteOptions{pytest: "pytest", redirect: true})
		require.NoError(t, err)
		require.NotContains(t, got.text, "/tmp/r.xml", option)
		require.Equal(t, 1, strings.Count(got.text, "results."), got.text)
	}
}

func TestArgumentsSurviveByteForByte(t *testing.T) {
	t.Parallel()
	args := []string{
		"two  blanks", "tab\there", "line\nbreak", `"double" 'single'`, "$HOME `id` $(id)", `back\slash\`, "[a] {b,c} *?", "~ ! # ; & | < > ( )",
		"ünïcödé — 💥", "--opt=with space", "", "-", "--", "trtllm-llmapi-launch", "\xff\xfe",
	}
	command := "trtllm-llmapi-launch pytest x"
	for _, a := range args {
		q, err := syntax.Quote(a, syntax.LangBash)
		require.NoError(t, err)
		command += " " + q
	}
	for _, drop := range []bool{false, true} {
		got, err := rewrite(command, rewriteOptions{launcher: DefaultLauncher, pytest: "pytest", dropLauncher: drop, redirect: true})
		require.NoError(t, err)
		want := append([]string{"x"}, args...)
		i := 13 // our option stands before --
		want = append(want[:i:i], append([]string{"--junit-xml=/a/roles/AGG/results.0.xml"}, want[i:]...)...)
		require.Equal(t, want, words(t, got.text))
	}
}

func TestEnvironmentStrings(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		"":                          "",
		"A=1 B=2":                   "A=1 B=2 ",
		"  A=1\n  B=2 ":             "A=1 B=2 ",
		`"A=1 2" B='x y' C="it's"`:  `A='1 2' B='x y' C="it's" `,
		`A=$B`:                      "A=$B ",
		`A=1 "L=/x y:$L" M=${N:-o}`: `A=1 L="/x y:$L" M=${N:-o} `,
		`P="ignore::Warning:a.b"`:   "P=ignore::Warning:a.b ",
		`A=`:                        "A= ",
		`A=~/x B=/y:~/z`:            "A=~/x B=/y:~/z ",
		`A="~/x" B=a~`:              "A='~/x' B='a~' ",
		`LIST=a,b;c`:                "error",
		`A=1 && B=2`:                "error",
		`A=1 B`:                     "error",
		`1A=x`:                      "error",
		`A=1 >log`:                  "error",
		`A='open`:                   "error",
		`A=1 &`:                     "error",
		`'A=single quotes $HOME'`:   `A='single quotes $HOME' `,
	} {
		env, err := parseEnvironment(src)
		if want == "error" {
			require.Error(t, err, src)
			continue
		}
		require.NoError(t, err, src)
		text, err := env.text()
		require.NoError(t, err)
		require.Equal(t, want, text)
	}
}

func FuzzCommand(f *testing.F) {
	for _, s := range []string{
		"trtllm-llmapi-launch pytest 'a b' --junit-xml=x --csv y", "A=b \"trtllm-llmapi-launch\" pytest a -- b", "bash -c 'pytest a' && pytest \\\n b",
		"pytest <<E\n--junit-xml=x\nE\n", "pytest a; pytest --output-dir $X", "env trtllm-llmapi-launch", "pytest --junit-xml", "$(trtllm-llmapi-launch pytest a)",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		for _, o := range []rewriteOptions{
			{launcher: DefaultLauncher, pytest: "pytest"},
			{launcher: DefaultLauncher, dropLauncher: true},
			{launcher: DefaultLauncher, redirect: true},
			{launcher: DefaultLauncher, dropLauncher: true, redirect: true},
		} {
			got, err := rewrite(src, o)
			if err != nil {
				continue
			}
			if _, err := parse(got.text); err != nil {
				t.Fatalf("%q became %q, which is no command: %v", src, got.text, err)
			}
			if !o.redirect && !o.dropLauncher && got.text != src {
				t.Fatalf("%q was changed to %q for no reason", src, got.text)
			}
		}
		if env, err := parseEnvironment(src); err == nil {
			if text, err := env.text(); err == nil {
				if _, err := parse(text + "true"); err != nil {
					t.Fatalf("environment %q became %q: %v", src, text, err)
				}
			}
		}
	})
}

// What no option names is redirected through the environment.
func TestSharedFilesWithoutAnOption(t *testing.T) {
	t.Parallel()
	got, err := rewrite("./run_tests.sh", rewriteOptions{launcher: DefaultLauncher, redirect: true})
	require.NoError(t, err)
	require.Equal(t, []string{" '--junit-xml=/a/roles/AGG/results.0.xml'"}, words(t, prelude(got)+`pytest "$PYTEST_ADDOPTS"`))
	got, err = rewrite("pytest a --cov=b", rewriteOptions{launcher: DefaultLauncher, redirect: true})
	require.NoError(t, err)
	require.Equal(t, []string{"/a/roles/AGG/coverage.0"}, words(t, prelude(got)+`pytest "$COVERAGE_FILE"`))
	got, err = rewrite("pytest a", rewriteOptions{launcher: DefaultLauncher, redirect: true})
	require.NoError(t, err)
	require.Empty(t, prelude(got))
}

// A user may write the mark bare, between quotes, or in the text of another
// shell: the process gets the id and nothing else.
func TestTestIDInACommand(t *testing.T) {
	t.Parallel()
	const id = "perf/t.py::test_e2e[disagg-a'b \"c\" $HOME `id` \\ {d,e} *]"
	for _, command := range []string{
		"pytest {test_id}", `pytest "{test_id}"`, "pytest '{test_id}'", "trtllm-llmapi-launch pytest {test_id}",
		`bash -c "$F; pytest {test_id}"`, `bash -c "$F; "'pytest {test_id}'`, `bash -ec "$F; pytest {test_id}"`, `eval "pytest {test_id}"`, `eval pytest '{test_id}'`,
		`T={test_id}; pytest "$T"`, `T="{test_id}" && pytest "$T"`, `pytest "$(printf %s "{test_id}")"`, "# about {test_id}\npytest {test_id}",
	} {
		got, err := fillTestID(command, id)
		require.NoError(t, err, command)
		require.Equal(t, []string{id}, words(t, `F='pytest() { printf "%s\0" "$@"; }'; `+got), command)
	}
	got, err := fillTestID(`pytest "--opt={test_id}" -k "{test_id}"`, "a[b]")
	require.NoError(t, err)
	require.Equal(t, `pytest "--opt=a[b]" -k "a[b]"`, got)
	_, err = fillTestID("pytest '{test_id}", id)
	require.ErrorContains(t, err, "not a bash command")
}
