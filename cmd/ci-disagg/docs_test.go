package main

import (
	"encoding"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/archive"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// configKeys lists every key path of a config type: lists and maps of sections
// appear with [] and <name>.
func configKeys(t reflect.Type, prefix string) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	text, own := reflect.TypeFor[encoding.TextUnmarshaler](), reflect.TypeFor[yaml.Unmarshaler]()
	switch {
	case t.Implements(text) || reflect.PointerTo(t).Implements(text) || reflect.PointerTo(t).Implements(own):
		return []string{prefix}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return configKeys(t.Elem(), prefix+"[]")
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Struct:
		return configKeys(t.Elem(), prefix+".<name>")
	case t.Kind() != reflect.Struct:
		return []string{prefix}
	}
	var keys []string
	for f := range t.Fields() {
		name, rest, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		path := strings.TrimPrefix(prefix+"."+name, ".")
		switch {
		case rest == "inline":
			keys = append(keys, configKeys(f.Type, prefix)...)
		case name == "-" || !f.IsExported():
		default:
			keys = append(keys, configKeys(f.Type, path)...)
		}
	}
	return keys
}

// rowsOf lists what the rows of docs/config.md are about: keys, or variables.
func rowsOf(t *testing.T, page string, variables bool) map[string]bool {
	t.Helper()
	rows := map[string]bool{}
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, "| `"); ok {
			key, _, _ := strings.Cut(rest, "`")
			name, isVariable := strings.CutPrefix(key, "$")
			if isVariable == variables {
				require.False(t, rows[name], "docs/config.md has two rows for %s", key)
				rows[name] = true
			}
		}
	}
	return rows
}

// TestEveryVariableIsDocumented keeps docs/config.md and what is read from the
// environment the same.
func TestEveryVariableIsDocumented(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docs/config.md")
	require.NoError(t, err)
	documented := rowsOf(t, string(data), true)
	read := trtllm.EnvNames()
	var sources []string
	for _, dir := range []string{".", "../../internal"} {
		require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			own := dir != "." || filepath.Dir(path) == "."
			if own && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") && !strings.Contains(path, "testkit") {
				sources = append(sources, path)
			}
			return err
		}))
	}
	call := regexp.MustCompile(`[gG]etenv\("(\w+)"\)`)
	for _, source := range sources {
		text, err := os.ReadFile(source)
		require.NoError(t, err)
		for _, m := range call.FindAllStringSubmatch(string(text), -1) {
			read = append(read, m[1])
		}
	}
	slices.Sort(read)
	for _, name := range slices.Compact(read) {
		require.True(t, documented[name], "docs/config.md does not describe $%s", name)
		delete(documented, name)
	}
	require.Empty(t, documented, "docs/config.md describes variables that nothing reads")
}

// TestEveryFileOfARunIsDocumented looks for the names of a run's files in
// docs/run-directory.md.
func TestEveryFileOfARunIsDocumented(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docs/run-directory.md")
	require.NoError(t, err)
	dir, attempt := rundir.Dir("/r"), rundir.AttemptDir("/r/a")
	for _, file := range []string{
		dir.RunFile(), dir.LeaseFile(), dir.CancelFile(), dir.Report(), configfile.Copy, configfile.Origin, configfile.Pins, configfile.Draft, archive.ResultFile, script.TestList,
		attempt.Script(), attempt.PlanFile(), attempt.JobFile(), attempt.OutcomeFile(), attempt.AgentFile(), attempt.SlurmOut(), attempt.Run(0).RecordFile(), attempt.Run(0).Output(), filepath.Dir(attempt.AnswerFile(0)),
		attempt.Run(0).RoleScript("R"), attempt.Run(0).RoleStatus("R"), attempt.Run(0).RoleLog("R"),
		rundir.ReportJUnit, rundir.ReportVerdict,
	} {
		require.Contains(t, string(data), filepath.Base(file))
	}
}

// TestDocumentedConfigsAreValid reads every block of YAML on every page: a config, sections of one, or pins.
func TestDocumentedConfigsAreValid(t *testing.T) {
	t.Parallel()
	n := 0
	textFiles(t, ".", []string{".md"}, func(page, text string) {
		for _, b := range regexp.MustCompile("(?s)\n```yaml\n(.*?)```").FindAllStringSubmatch(text, -1) {
			n++
			_, err := configfile.Parse(page, []byte(b[1]))
			if strings.HasPrefix(b[1], "schema: 1\ncases:\n  \"") {
				_, err = judging.ParsePins(page, []byte(b[1]), metric.Default())
			}
			if err != nil {
				t.Errorf("%v\n%s", err, b[1])
			}
		}
	})
	require.Greater(t, n, 15)
}

// TestEveryExitCodeIsDocumented holds the README's table against what help prints.
func TestEveryExitCodeIsDocumented(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	codes := 0
	for line := range strings.Lines(exit.Table) {
		code, _, _ := strings.Cut(strings.TrimSpace(line), "  ")
		require.Contains(t, string(readme), "\n| "+code+" | ")
		codes++
	}
	require.Equal(t, codes, len(regexp.MustCompile(`(?m)^\| \d`).FindAllString(string(readme), -1)))
}

// TestEveryConfigKeyIsDocumented keeps docs/config.md and the config the same:
// every key has a row there, and every row names a key.
func TestEveryConfigKeyIsDocumented(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docs/config.md")
	require.NoError(t, err)
	documented := rowsOf(t, string(data), false)
	for _, key := range configKeys(reflect.TypeFor[configfile.File](), "") {
		require.True(t, documented[key], "docs/config.md does not describe %s", key)
		delete(documented, key)
	}
	require.Empty(t, documented, "docs/config.md describes keys that do not exist")
}

// TestDocumentedPipelinesArePlanned plans every block of docs/pipelines.md, for this
// machine and for Slurm.
func TestDocumentedPipelinesArePlanned(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docs/pipelines.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)\n```yaml\n(.*?)```").FindAllSubmatch(data, -1)
	require.GreaterOrEqual(t, len(blocks), 4)
	for _, b := range blocks {
		for _, backend := range []string{"local", "slurm"} {
			h, out, errs := planHost(t)
			config := filepath.Join(t.TempDir(), "ci-disagg.yaml")
			require.NoError(t, os.WriteFile(config, b[1], 0o600))
			require.Equal(t, exit.Passed, run(t.Context(), h, []string{"plan", "--config", config, "--backend", backend}), "%s\n%s", b[1], errs)
			require.Contains(t, out.String(), "   pipeline  ")
		}
	}
}

// Prose of the documentation fits a screen: 120 characters a line. Tables and code may be wider, but not the help's.
func TestDocsAreNarrow(t *testing.T) {
	t.Parallel()
	pages := []string{"../../README.md", "../../CONTRIBUTING.md", "../../SECURITY.md"}
	require.NoError(t, filepath.WalkDir("../../docs", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			pages = append(pages, path)
		}
		return err
	}))
	require.Greater(t, len(pages), 20)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		code := false
		for i, line := range strings.Split(string(text), "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				code = !code
			}
			if prose := !code && !strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "    "); prose || filepath.Base(page) == "cli.md" {
				require.LessOrEqual(t, utf8.RuneCountInString(line), 120, "%s:%d", page, i+1)
			}
		}
	}
}
