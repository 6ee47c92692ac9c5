package publish

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/cost"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/export"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
)

const schemaFile = "../../../docs/verdict-schema.json"

// validator prints one line per violation of the schema.
const validator = `
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
check = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
for name in sys.argv[2:]:
    for e in check.iter_errors(json.load(open(name))):
        print(name, "/".join(map(str, e.absolute_path)), e.message[:300])
`

// violations validates files with Debian's python3-jsonschema.
func violations(t *testing.T, files ...string) string {
	t.Helper()
	need.Programs(t, "python3-jsonschema", "/usr/bin/python3")
	out, err := exec.Command("/usr/bin/python3", append([]string{"-W", "ignore", "-c", validator, schemaFile}, files...)...).CombinedOutput()
	require.NoError(t, err, "needs python3-jsonschema: %s", out)
	return string(out)
}

func TestVerdictFollowsItsSchema(t *testing.T) {
	t.Parallel()
	var files []string
	for _, name := range slices.Sorted(maps.Keys(documents())) {
		dir, _ := written(t, documents()[name])
		files = append(files, filepath.Join(dir, rundir.ReportVerdict))
	}
	out := violations(t, files...)
	// Hostile text stands where words of ours are expected: only there.
	for l := range strings.SplitSeq(strings.TrimSpace(out), "\n") {
		require.True(t, l == "" || strings.Contains(l, "script"), l)
	}
	require.Contains(t, out, "outcome")
}

// TestSchemaRefuses proves that the schema says something.
func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(map[string]any){
		"unknown field": func(d map[string]any) { d["color"] = "red" },
		"no cases":      func(d map[string]any) { delete(d, "cases") },
		"result":        func(d map[string]any) { d["result"] = "green" },
		"deep": func(d map[string]any) {
			d["cases"].([]any)[0].(map[string]any)["metrics"].([]any)[0].(map[string]any)["gate"] = "yes"
		},
		"time": func(d map[string]any) { d["schema"] = 1 },
	} {
		data, err := json.Marshal(regressionDocument())
		require.NoError(t, err)
		var d map[string]any
		require.NoError(t, json.Unmarshal(data, &d))
		change(d)
		data, err = json.Marshal(d)
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "verdict.json")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		require.NotEmpty(t, violations(t, path), name)
	}
}

// TestSchemaKnowsEveryField walks the types: a field that is added without the
// schema fails here, not at a reader's.
func TestSchemaKnowsEveryField(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(schemaFile)
	require.NoError(t, err)
	var schema struct {
		Defs map[string]struct {
			Properties map[string]json.RawMessage `json:"properties"`
		} `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal(data, &schema))
	for def, v := range map[string]any{
		"document": report.Report{}, "counts": report.Counts{}, "case": report.CaseReport{}, "attempt": report.AttemptReport{}, "role": report.RoleReport{}, "link": report.Link{}, "suspects": report.Suspects{}, "row": verdict.Row{},
		"run": verdict.Run{}, "level": verdict.Level{}, "finding": rundir.Finding{}, "build": rundir.Build{}, "point": rundir.Point{}, "gpu_hours": cost.Spent{},
		"phase": rundir.PhaseSpan{}, "event": rundir.Event{}, "line": rundir.LogLine{},
		"ab": ab.Session{}, "ab_build": ab.Build{}, "ab_pair": ab.Pair{}, "ab_run": ab.Run{}, "ab_series": ab.Found{},
	} {
		require.ElementsMatch(t, jsonFields(reflect.TypeOf(v)), slices.Collect(maps.Keys(schema.Defs[def].Properties)), def)
	}
}

func jsonFields(t reflect.Type) []string {
	var out []string
	for f := range fieldsOf(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if f.Anonymous && name == "" {
			out = append(out, jsonFields(f.Type)...)
			continue
		}
		out = append(out, name)
	}
	return out
}

func fieldsOf(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}

func TestReadRefusesWhatIsNewer(t *testing.T) {
	t.Parallel()
	dir, _ := written(t, passDocument())
	d, err := export.Read(filepath.Join(dir, rundir.ReportVerdict))
	require.NoError(t, err)
	require.Equal(t, passDocument().RunID, d.RunID)
	path := filepath.Join(t.TempDir(), "verdict.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"schema": 3}`), 0o600))
	_, err = export.Read(path)
	require.ErrorContains(t, err, "schema 3 is newer")
}

// TestWordsOfTimes keeps what people read free of nonsense at the edges.
func TestWordsOfTimes(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 0: "0 ms", 999 * time.Millisecond: "999 ms", 9500 * time.Millisecond: "9.5 s", 723 * time.Second: "12 min 3 s", 12000 * time.Second: "3 h 20 min",
	} {
		require.Equal(t, want, look.Lasting(d))
	}
	for v, want := range map[float64]string{0: "0", 21830.4: "21830", 11.4: "11.40", 0.00012345: "0.000123", 142.95: "142.9"} {
		require.Equal(t, want, look.Number(v))
	}
	require.Equal(t, []string{"±0.0 %", "+12.5 %", "-3.1 %"}, []string{look.Percent(0.0001), look.Percent(0.125), look.Percent(-0.031)})
}
