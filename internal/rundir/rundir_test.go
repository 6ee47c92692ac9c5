package rundir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWriteStreamKeepsTheOldFileWhenFillFails(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "record.json")
	require.NoError(t, WriteFile(path, []byte("old"), FileMode))
	broken := errors.New("disk on fire")
	err := WriteStream(path, FileMode, func(w io.Writer) error {
		_, _ = w.Write([]byte("half of the ne"))
		return broken
	})
	require.ErrorIs(t, err, broken)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "old", string(data))
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1, "the temporary file is gone")
}

func TestWriteJSONNeverShowsHalfARecord(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "agent.json")
	rec := AgentRecord{Schema: Schema, RunAccount: RunAccount{Timeline: make([]Event, 500)}}
	require.NoError(t, WriteJSON(path, rec))
	var writers sync.WaitGroup
	stop := make(chan struct{})
	writers.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			rec.PID = i
			if err := WriteJSON(path, rec); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 200 {
		var got AgentRecord
		require.NoError(t, ReadJSON(path, &got))
		require.Len(t, got.Timeline, 500)
	}
	close(stop)
	writers.Wait()
}

func TestRecordsAreNotReadableByOthers(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cases", "a")
	require.NoError(t, WriteJSON(filepath.Join(dir, "plan.json"), Plan{Schema: Schema}))
	info, err := os.Stat(filepath.Join(dir, "plan.json"))
	require.NoError(t, err)
	require.Equal(t, FileMode, info.Mode().Perm())
	info, err = os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, DirMode, info.Mode().Perm())
}

// Many write a program and start it at once: no child that is being started for
// one of them may still hold another's program open.
func TestAProgramCanBeExecutedAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var g sync.WaitGroup
	for i := range 8 {
		g.Go(func() {
			for j := range 12 {
				file := filepath.Join(dir, fmt.Sprintf("p%d-%d", i, j))
				if assert.NoError(t, WriteFile(file, []byte("#!/bin/sh\n"), ExecMode)) {
					assert.NoError(t, exec.Command(file).Run()) //nolint:gosec // the test's own
				}
			}
		})
	}
	g.Wait()
}

func TestReadJSONRefusesANewerSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "run.json")
	require.NoError(t, WriteJSON(path, map[string]any{"schema": Schema + 1}))
	require.ErrorContains(t, ReadJSON(path, new(Run)), "newer than this ci-disagg understands")
}

func TestSlug(t *testing.T) {
	t.Parallel()
	require.Equal(t, "plain-id_1.2", Slug("plain-id_1.2"))
	ids := []string{
		"perf/test_perf_sanity.py::test_e2e[disagg_upload-e2e-x]", "perf/test_perf_sanity.py::test_e2e(disagg_upload-e2e-x)",
		"a b", "a_b", "a/b", "a:b", "A_b", "ä", "ö", "", ".", "..", "../../etc/passwd", "-rf", "-", "a\x00b", "\xff\xfe",
		strings.Repeat("x", 300), strings.Repeat("x", 301), strings.Repeat("y/", 200),
	}
	seen := map[string]string{}
	for _, id := range ids {
		s := Slug(id)
		require.Regexp(t, `^[A-Za-z0-9_][A-Za-z0-9._-]{0,120}$`, s, "id %q", id)
		require.NotContains(t, seen, strings.ToLower(s), "ids %q and %q", id, seen[strings.ToLower(s)])
		seen[strings.ToLower(s)] = id
	}
}

func FuzzSlug(f *testing.F) {
	f.Add("a", "b")
	f.Add("x/y", "x_y")
	f.Fuzz(func(t *testing.T, a, b string) {
		sa, sb := Slug(a), Slug(b)
		if filepath.Base(sa) != sa || sa == "." || sa == ".." || len(sa) > 120 {
			t.Fatalf("slug %q of %q is not a safe file name", sa, a)
		}
		if a != b && strings.EqualFold(sa, sb) {
			t.Fatalf("%q and %q share the slug %q", a, b, sa)
		}
	})
}

func TestDurationText(t *testing.T) {
	t.Parallel()
	var v struct {
		D Duration `json:"d"`
	}
	require.NoError(t, json.Unmarshal([]byte(`{"d":"1h30m"}`), &v))
	require.Equal(t, 90*time.Minute, v.D.D())
	out, err := json.Marshal(v)
	require.NoError(t, err)
	require.JSONEq(t, `{"d":"1h30m0s"}`, string(out))
	for _, bad := range []string{"", "5", "-3s", "soon", "1 h"} {
		require.Error(t, v.D.UnmarshalText([]byte(bad)), "%q", bad)
	}
}

func TestPathsStayInsideTheirDirectory(t *testing.T) {
	t.Parallel()
	d := Dir("/run")
	a := d.CaseDir("c").Attempt(0, 1)
	require.Equal(t, AttemptDir("/run/cases/c/rep-0/attempt-1"), a)
	for _, p := range []string{a.Script(), a.PlanFile(), a.JobFile(), a.OutcomeFile(), a.AgentFile(), a.SlurmOut(), string(a.Run(3))} {
		require.True(t, strings.HasPrefix(p, string(a)+"/"), p)
	}
	r := a.Run(0)
	for _, p := range []string{r.RecordFile(), r.Output(), r.RoleDir("GEN_0"), r.RoleScript("GEN_0"), r.RoleStatus("GEN_0"), r.RoleLog("GEN_0")} {
		require.True(t, strings.HasPrefix(p, fmt.Sprint(a)+"/run-0/"), p)
	}
}
