package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
)

func schemaOfConfig(t *testing.T) map[string]any {
	t.Helper()
	text, err := configfile.Schema()
	require.NoError(t, err)
	var s map[string]any
	require.NoError(t, json.Unmarshal(text, &s))
	return s
}

// leaves calls each for every key of a schema that has no keys below it, as docs/config.md writes it.
func leaves(s map[string]any, path string, each func(path string, s map[string]any)) {
	properties, _ := s["properties"].(map[string]any)
	for name, p := range properties {
		leaves(p.(map[string]any), strings.TrimPrefix(path+"."+name, "."), each)
	}
	of, list := s["items"].(map[string]any)
	below := "[]"
	if !list {
		of, _ = s["additionalProperties"].(map[string]any)
		below = ".<name>"
	}
	switch {
	case of["properties"] != nil:
		leaves(of, path+below, each)
	case properties == nil:
		each(path, s)
	}
}

// The schema has exactly the keys that the strict decoder has, each with words.
func TestSchemaHasTheKeysOfTheDecoder(t *testing.T) {
	t.Parallel()
	var got []string
	leaves(schemaOfConfig(t), "", func(path string, s map[string]any) {
		got = append(got, path)
		require.NotEmpty(t, s["description"], path)
	})
	require.ElementsMatch(t, configKeys(reflect.TypeFor[configfile.File](), ""), got)
}

// below is a YAML file with a value at a key: perf.readers[].format.
func below(key, value string) string {
	var b strings.Builder
	indent := ""
	parts := strings.Split(strings.ReplaceAll(key, "<name>", "x"), ".")
	for i, part := range parts {
		name, list := strings.CutSuffix(part, "[]")
		b.WriteString(indent + name + ":")
		if i == len(parts)-1 {
			break
		}
		indent = strings.ReplaceAll(indent, "-", " ") + "  "
		b.WriteString("\n")
		if list {
			indent += "- "
		}
	}
	return b.String() + " " + value + "\n"
}

// A value that the schema lists is taken; any other is refused.
func TestSchemaListsValues(t *testing.T) {
	t.Parallel()
	lists := 0
	leaves(schemaOfConfig(t), "", func(path string, s map[string]any) {
		values, ok := s["enum"].([]any)
		if !ok {
			return
		}
		lists++
		last := path[strings.LastIndexByte(path, '.')+1:]
		for _, v := range values {
			_, err := configfile.Parse("x", []byte(below(path, fmt.Sprintf("%q", v))))
			require.False(t, err != nil && strings.Contains(err.Error(), fmt.Sprintf("%q", v)), "%s: %v", path, err)
		}
		// What is missing is said first.
		beside := map[string]string{"perf.readers[].metrics[].better": "\n          at: x", "perf.define[].better": "\n      name: x\n      unit: ms"}
		_, err := configfile.Parse("x", []byte(below(path, "none-of-these"+beside[path])))
		if err == nil || !strings.Contains(err.Error(), "none-of-these") {
			t.Errorf("%s: %v", path, err)
			return
		}
		require.ErrorContains(t, err, last)
	})
	require.Greater(t, lists, 10)
}

// A number beyond a bound of the schema is refused by the decoder, too, at its place.
func TestSchemaBoundsNumbers(t *testing.T) {
	t.Parallel()
	bounds := 0
	leaves(schemaOfConfig(t), "", func(path string, s map[string]any) {
		if either, ok := s["anyOf"].([]any); ok {
			s = either[0].(map[string]any)
		}
		for _, b := range []struct {
			key    string
			beyond float64
		}{{"minimum", -1}, {"maximum", 1}} {
			v, ok := s[b.key].(float64)
			if !ok {
				continue
			}
			bounds++
			_, err := configfile.Parse("x", []byte(below(path, fmt.Sprint(v+b.beyond))))
			require.ErrorContains(t, err, path[strings.LastIndexByte(path, '.')+1:], path)
			require.ErrorContains(t, err, fmt.Sprint(v+b.beyond), path)
		}
	})
	require.Greater(t, bounds, 20)
}

// mistakes are what people write, and where the schema has to say so.
func mistakes() map[string]string {
	return map[string]string{
		"runsdir: /x":                                             "",
		"stages: x":                                               "",
		"backend: kubernetes":                                     "backend",
		"workload: /shared/TensorRT-LLM":                          "workload",
		"workload: {sources: /x}":                                 "workload",
		"workload: {hang: 30}":                                    "workload/hang",
		"workload: {hang: 30 minutes}":                            "workload/hang",
		"workload: {secrets: {name: HF_TOKEN}}":                   "workload/secrets",
		"workload: {known_failures: [{tests: x}]}":                "workload/known_failures/0",
		"workload: {gpus: {GEN_0: 0}}":                            "workload/gpus/GEN_0",
		"clusters: [gb200]":                                       "clusters",
		"clusters: {gb200: {gpus_per_node: four}}":                "clusters/gb200/gpus_per_node",
		"clusters: {gb200: {exclusive: maybe}}":                   "clusters/gb200/exclusive",
		"clusters: {gb200: {container: {mounts: /a:/b}}}":         "clusters/gb200/container/mounts",
		"clusters: {gb200: {gpus: gpu-per-node}}":                 "clusters/gb200/gpus",
		"budgets: {ready: -5m}":                                   "budgets/ready",
		"jobs: {max: 2.5}":                                        "jobs/max",
		"jobs: {max: -1}":                                         "jobs/max",
		"pipelines: {a: {roles: [{gpus: -1}]}}":                   "pipelines/a/roles/0/gpus",
		"pipelines: {a: {roles: [{port: 99999}]}}":                "pipelines/a/roles/0/port",
		"pipelines: {a: {roles: [{nodes: two}]}}":                 "pipelines/a/roles/0/nodes",
		"retry: {max: many}":                                      "retry/max",
		"perf: {reruns: 9}":                                       "perf/reruns",
		"perf: {metrics: {ttft_median_ms: {treshold: 0.1}}}":      "perf/metrics/ttft_median_ms",
		"perf: {readers: [{files: x.json, metrics: [{att: a}]}]}": "perf/readers/0/metrics/0",
		"perf: {strictness: lax}":                                 "perf/strictness",
		"report: {flaky: maybe}":                                  "report/flaky",
		"report: [flaky]":                                         "report",
		"classes: [{class: user}]":                                "classes/0/class",
	}
}

// TestSchemaAgreesWithTheDecoder validates configs that are right and configs that
// are wrong with Debian's python3-jsonschema.
func TestSchemaAgreesWithTheDecoder(t *testing.T) {
	t.Parallel()
	need.Programs(t, "python3-jsonschema", "/usr/bin/python3")
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		return path
	}
	schema, err := configfile.Schema()
	require.NoError(t, err)
	args := []string{"-W", "ignore", "-c", `
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
for name in sys.argv[2:]:
    for e in jsonschema.Draft202012Validator(schema).iter_errors(json.load(open(name))):
        print(name.split("/")[-1], "/".join(map(str, e.absolute_path)) or "-", e.message[:200])
`, write("schema", schema)}
	add := func(name, text string) {
		var v any
		require.NoError(t, yaml.Unmarshal([]byte(text), &v))
		data, err := json.Marshal(v)
		require.NoError(t, err)
		args = append(args, write(name, data))
	}
	for i, text := range goodConfigs(t) {
		_, err := configfile.Parse("x", []byte(text))
		require.NoError(t, err)
		add(fmt.Sprintf("good%d", i), text)
	}
	wrong := slices.Sorted(maps.Keys(mistakes()))
	require.GreaterOrEqual(t, len(wrong), 20)
	for i, text := range wrong {
		_, err := configfile.Parse("x", []byte(text))
		require.Error(t, err, text)
		add(fmt.Sprintf("wrong%d.", i), text)
	}
	out, err := exec.Command("/usr/bin/python3", args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NotContains(t, string(out), "good")
	for i, text := range wrong {
		at := mistakes()[text]
		if at == "" {
			at = "-"
		}
		require.Contains(t, string(out), fmt.Sprintf("wrong%d. %s ", i, at), text)
	}
}

// goodConfigs are the configs of this repository: files, and what the docs show.
func goodConfigs(t *testing.T) (out []string) {
	t.Helper()
	for _, pattern := range []string{"../../README.md", "../../docs/*.md"} {
		pages, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, page := range pages {
			data, err := os.ReadFile(page)
			require.NoError(t, err)
			for _, b := range regexp.MustCompile("(?s)\n```yaml\n(.*?)```").FindAllStringSubmatch(string(data), -1) {
				if _, err := configfile.Parse(page, []byte(b[1])); err == nil {
					out = append(out, b[1])
				}
			}
		}
	}
	files, err := filepath.Glob("../../testdata/*/ci-disagg.yaml")
	require.NoError(t, err)
	examples, err := filepath.Glob("../../examples/*.yaml")
	require.NoError(t, err)
	for _, file := range append(files, examples...) {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		out = append(out, string(data))
	}
	require.Greater(t, len(out), 5)
	return out
}
