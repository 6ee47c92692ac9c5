package main

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/compare"
	"github.com/ci-disagg/ci-disagg/internal/report/curate"
	"github.com/ci-disagg/ci-disagg/internal/report/lemons"
	"github.com/ci-disagg/ci-disagg/internal/runview"
	"github.com/ci-disagg/ci-disagg/internal/testkit/nights"
)

// fieldsInJSON are the fields of a type as the docs name them.
func fieldsInJSON(t reflect.Type, path string) (out []string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return fieldsInJSON(t.Elem(), path+"[]")
	case t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]():
		return []string{path}
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && f.Type == reflect.TypeFor[runview.Run]():
			continue // documented where it is at home
		case f.Anonymous:
			out = append(out, fieldsInJSON(f.Type, path)...)
		case name != "" && f.IsExported():
			out = append(out, fieldsInJSON(f.Type, strings.TrimPrefix(path+"."+name, "."))...)
		}
	}
	return out
}

func TestJSONDoc(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/json.md")
	require.NoError(t, err)
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")
	for verb, of := range map[string]reflect.Type{
		"list": reflect.TypeFor[runview.List](), "status": reflect.TypeFor[runview.Status](), "cancel": reflect.TypeFor[runs.CancelledDoc](),
		"sweep": reflect.TypeFor[runs.SweptDoc](), "prune": reflect.TypeFor[runs.PrunedDoc](),
		"compare": reflect.TypeFor[compare.Document](), "baseline show": reflect.TypeFor[curate.Shown](),
		"baseline show --metrics": reflect.TypeFor[curate.ShownMetrics](), "baseline nodes": reflect.TypeFor[[]lemons.Lemon](),
	} {
		_, section, ok := strings.Cut(string(page), "## `"+verb+"`")
		require.True(t, ok, verb)
		section, _, _ = strings.Cut(section, "\n## ")
		var documented []string
		for _, m := range row.FindAllStringSubmatch(section, -1) {
			documented = append(documented, m[1])
		}
		want := fieldsInJSON(of, "")
		if verb == "status" {
			want = want[1:] // schema
		}
		require.ElementsMatch(t, want, documented, verb)
	}
}

// Every verb that prints for programs has its section, or its page.
func TestJSONDocHasEveryVerb(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/json.md")
	require.NoError(t, err)
	var visit func(cmd *cobra.Command)
	found := 0
	visit = func(cmd *cobra.Command) {
		if f := cmd.Flags().Lookup("output"); f != nil && strings.Contains(f.Usage, "json") && !strings.Contains(f.Usage, "verdict.json") {
			found++
			require.Contains(t, string(page), "`"+strings.TrimPrefix(cmd.CommandPath(), "ci-disagg "))
		}
		for _, c := range cmd.Commands() {
			visit(c)
		}
	}
	visit(newRoot(newHost()))
	require.Greater(t, found, 8)
}

// TestBaselineShowJSON prints what people read for programs, too.
func TestBaselineShowJSON(t *testing.T) {
	t.Parallel()
	at := "dir:" + t.TempDir() + "/store"
	store, err := baseline.Open(t.Context(), at, true)
	require.NoError(t, err)
	suite := nights.Suite{Cases: 2, Nights: 40, Last: time.Now().UTC().Add(-time.Hour).Truncate(time.Second)}
	require.NoError(t, suite.Records(func(r baseline.Record) error {
		_, err := store.Save(t.Context(), r)
		return err
	}))
	h := newHost()
	var out bytes.Buffer
	h.stdout, h.getwd = &out, func() (string, error) { return t.TempDir(), nil }
	require.Equal(t, exit.Passed, run(t.Context(), h, []string{"baseline", "show", "--store", at, "--case", nights.CaseID(1), "-o", "json", "--runs", "3"}))
	var doc curate.Shown
	require.NoError(t, json.Unmarshal(out.Bytes(), &doc))
	require.Len(t, doc.Series, 6)
	require.Len(t, doc.Runs, 3)
	require.Equal(t, "ana", doc.Acts[0].By)
	require.NotEmpty(t, doc.Series[0].Level.Since, "it is open")
	require.Equal(t, doc.Runs[0].Run, doc.Series[0].Newest.Run)

	out.Reset()
	require.Equal(t, exit.Passed, run(t.Context(), h, []string{"baseline", "show", "--metrics", "-o", "json"}))
	var metrics curate.ShownMetrics
	require.NoError(t, json.Unmarshal(out.Bytes(), &metrics))
	require.Greater(t, len(metrics.Metrics), 20)
}
