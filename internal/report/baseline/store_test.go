package baseline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func TestSaveReadsBackTheSameRecord(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, url string) {
		s := open(t, url)
		r := nightly("perf/test.py::t[disagg-α b/c]", 1, 1234.5678901234567)
		r.Problems, r.Act = nil, &baseline.Act{By: "bo", At: day(2), Why: "measured by hand\nyesterday"}
		r.Measurements[0].Values = []float64{1e-300, 123456789.123456789, 3}
		r.Measurements[0].Level, r.Measurements[0].Open = 99.5, true
		r = r.Normal()
		require.Equal(t, baseline.Saved{Added: 1}, save(t, s, r))

		fresh := open(t, url) // nothing is remembered in the process
		h, err := fresh.History(t.Context(), baseline.Query{Case: r.Case, Match: r.Match})
		require.NoError(t, err)
		require.Empty(t, h.Warnings)
		require.Equal(t, []baseline.Record{r}, h.Runs)
	})
}

func TestSavingTwiceReplaces(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, url string) {
		s := open(t, url)
		r := nightly("c", 1, 100)
		require.Equal(t, baseline.Saved{Added: 1}, save(t, s, r))
		r.Measurements[0].Values = append(r.Measurements[0].Values, 101) // a repetition came in
		require.Equal(t, baseline.Saved{Replaced: 1}, save(t, s, r.Normal()))
		h, err := s.History(t.Context(), baseline.Query{Case: "c", Match: r.Match})
		require.NoError(t, err)
		require.Len(t, h.Runs, 1)
		require.Equal(t, []float64{100, 101}, h.Runs[0].Measurements[0].Values)
	})
}

func TestHistoryHoldsOnlyWhatMayBeComparedWith(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, url string) {
		s := open(t, url)
		good := nightly("c", 1, 100)
		pr := nightly("c", 2, 50)
		pr.Build.Mode, pr.Build.Change = "pr", "17"
		invalid := nightly("c", 3, 50)
		invalid.Valid, invalid.Problems = false, []string{"3 failed requests"}
		otherBranch := nightly("c", 4, 50)
		otherBranch.Build.Branch = "release/1.2"
		otherGPU := nightly("c", 5, 50)
		otherGPU.Match = map[string]string{"gpu_type": "B200", "tp": "8"}
		otherCase := nightly("C", 6, 50)
		withdrawn := nightly("c", 7, 50)
		later := nightly("c", 20, 50)
		decorated := nightly("c", 8, 101)
		decorated.Build.Branch = "refs/heads/main"
		decorated.Match["ep"] = "" // the same as not there
		subject := nightly("c", 19, 1)
		for _, r := range []baseline.Record{good, pr, invalid, otherBranch, otherGPU, otherCase, withdrawn, later, decorated, subject} {
			save(t, s, r.Normal())
		}
		save(t, s, act(baseline.KindWithdraw, withdrawn), act(baseline.KindAccept, good, "con64/ttft_median_ms"))

		h, err := s.History(t.Context(), baseline.Query{Case: "c", Match: good.Match, Before: day(20), Except: subject.ID})
		require.NoError(t, err)
		require.Equal(t, ids([]baseline.Record{good, decorated.Normal()}), ids(h.Runs))
		require.Len(t, h.Acts, 1)
		require.Equal(t, good.ID, h.Acts[0].Act.Target)
		require.True(t, h.Acts[0].Act.Covers("con64", "ttft_median_ms"))
		require.False(t, h.Acts[0].Act.Covers("con64", "output_token_throughput"))

		h, err = s.History(t.Context(), baseline.Query{Case: "c", Match: good.Match, Branch: "release/1.2"})
		require.NoError(t, err)
		require.Equal(t, ids([]baseline.Record{otherBranch.Normal()}), ids(h.Runs))
	})
}

func TestHistoryWindow(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, url string) {
		s := open(t, url)
		var all []baseline.Record
		for i := range 130 {
			all = append(all, nightly("c", i, 100+float64(i)))
		}
		save(t, s, all...)
		q := baseline.Query{Case: "c", Match: all[0].Match}

		h, err := s.History(t.Context(), q)
		require.NoError(t, err)
		require.Equal(t, ids(all[30:]), ids(h.Runs), "the newest %d, oldest first", baseline.DefaultRuns)

		q.Runs, q.Before, q.Except = 10, day(100), all[99].ID
		h, err = s.History(t.Context(), q)
		require.NoError(t, err)
		require.Equal(t, ids(all[89:99]), ids(h.Runs))

		q.Since = day(95)
		h, err = s.History(t.Context(), q)
		require.NoError(t, err)
		require.Equal(t, ids(all[95:99]), ids(h.Runs))

		for _, r := range all[90:98] {
			save(t, s, act(baseline.KindWithdraw, r))
		}
		q.Since = time.Time{}
		h, err = s.History(t.Context(), q)
		require.NoError(t, err)
		require.Equal(t, ids(append(slices.Clone(all[81:90]), all[98])), ids(h.Runs), "withdrawn runs take no place")
	})
}

func TestHistoryEndsAtTheMergeBase(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, url string) {
		s := open(t, url)
		var all []baseline.Record
		for i := range 40 {
			all = append(all, nightly("c", i, 100))
		}
		save(t, s, all...)
		q := baseline.Query{Case: "c", Match: all[0].Match, Runs: 10}

		q.MergeBase = strings.ToUpper(all[25].Build.Commit) + "0123456789" // longer than what is stored
		h, err := s.History(t.Context(), q)
		require.NoError(t, err)
		require.Empty(t, h.Warnings)
		require.Equal(t, ids(all[16:26]), ids(h.Runs))

		q.MergeBase, q.MergeBaseTime = "ffffffffffff", day(12).Add(time.Hour)
		h, err = s.History(t.Context(), q)
		require.NoError(t, err)
		require.Equal(t, ids(all[3:13]), ids(h.Runs))

		q.MergeBaseTime = time.Time{}
		h, err = s.History(t.Context(), q)
		require.NoError(t, err)
		require.Equal(t, ids(all[30:]), ids(h.Runs))
		require.Contains(t, h.Warnings[0], "no run of the merge base ffffffffffff")
	})
}

func TestEachAndDelete(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, url string) {
		s := open(t, url)
		var a, b []baseline.Record
		for i := range 70 {
			a, b = append(a, nightly("a", i, 1)), append(b, nightly("b", i, 1))
		}
		pr := nightly("a", 3, 1)
		pr.Build.Mode = "pr"
		pr = pr.Normal()
		accept := act(baseline.KindAccept, a[1])
		save(t, s, append(append(a, b...), pr, accept)...)
		count := func(f baseline.Filter) (out []baseline.Record) {
			warnings, err := s.Each(t.Context(), f, func(r baseline.Record) error {
				out = append(out, r)
				return nil
			})
			require.NoError(t, err)
			require.Empty(t, warnings)
			return out
		}
		require.Len(t, count(baseline.Filter{}), 142)
		require.Equal(t, ids(a), ids(count(baseline.Filter{Case: "a", Mode: "nightly"})))
		require.Equal(t, ids(a[10:20]), ids(count(baseline.Filter{Case: "a", Since: day(10), Before: day(20)})))
		require.Equal(t, []baseline.Record{accept}, count(baseline.Filter{Kinds: []baseline.Kind{baseline.KindAccept}}))
		require.Equal(t, []string{pr.ID}, ids(count(baseline.Filter{Mode: "pr"})))
		require.Equal(t, ids(a), ids(count(baseline.Filter{Case: "a", Counts: true})))
		require.Len(t, count(baseline.Filter{Match: map[string]string{"tp": "8"}}), 142)
		require.Empty(t, count(baseline.Filter{Match: map[string]string{"tp": "4"}}))
		require.Empty(t, count(baseline.Filter{Branch: "release"}))

		stop := errors.New("enough")
		_, err := s.Each(t.Context(), baseline.Filter{}, func(baseline.Record) error { return stop })
		require.ErrorIs(t, err, stop)
		require.False(t, errors.As(err, new(*baseline.UnavailableError)), "the caller's own error is not the store's")

		n, err := s.Delete(t.Context(), baseline.Filter{Case: "a", Kinds: []baseline.Kind{baseline.KindRun}, Before: day(50)})
		require.NoError(t, err)
		require.Equal(t, 51, n)
		require.Equal(t, ids(a[50:]), ids(count(baseline.Filter{Case: "a", Kinds: []baseline.Kind{baseline.KindRun}})))
		require.Len(t, count(baseline.Filter{Case: "b"}), 70)
		n, err = s.Delete(t.Context(), baseline.Filter{IDs: []string{b[3].ID, a[1].ID}})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		save(t, s, a[1]) // into a month whose directory is gone
		require.Len(t, count(baseline.Filter{Case: "a", IDs: []string{a[1].ID}}), 1)
	})
}

func TestSaveRefusesWhatIsNotARecord(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, url string) {
		s := open(t, url)
		tests := map[string]func(*baseline.Record){
			"case is missing": func(r *baseline.Record) { r.Case = "" },
			"is not nightly, pr, bisect, reference or ab": func(r *baseline.Record) { r.Build.Mode = "adhoc" },
			"has none":                       func(r *baseline.Record) { r.Measurements = nil },
			"exactly when it has problems":   func(r *baseline.Record) { r.Problems = []string{"x"} },
			"is there twice":                 func(r *baseline.Record) { r.Measurements = append(r.Measurements, r.Measurements[0]) },
			"not finite":                     func(r *baseline.Record) { r.Measurements[0].Values[0] /= 0 * r.Measurements[0].Values[0] },
			"has no value":                   func(r *baseline.Record) { r.Measurements[0].Values = nil },
			"time 1990":                      func(r *baseline.Record) { r.Time = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC) },
			"not valid UTF-8":                func(r *baseline.Record) { r.Build.Commit = "\xff" },
			"control characters":             func(r *baseline.Record) { r.Cluster = "a\x00b" },
			"case mode is too long":          func(r *baseline.Record) { r.CaseMode = strings.Repeat("x", 1<<20) },
			"case mode has control":          func(r *baseline.Record) { r.CaseMode = "\x00" },
			`kind "guess" is unknown`:        func(r *baseline.Record) { r.Kind = "guess" },
			"accept needs who, when and why": func(r *baseline.Record) { r.Kind, r.Act = baseline.KindAccept, &baseline.Act{Target: "x"} },
		}
		for want, spoil := range tests {
			r := nightly("c", 1, 100)
			spoil(&r)
			_, err := s.Save(t.Context(), r.Normal())
			require.ErrorContains(t, err, want)
			require.False(t, errors.As(err, new(*baseline.UnavailableError)), want)
		}
		r := nightly("c", 1, 100)
		r.ID = "20260801T030000Z-../../../../etc"
		_, err := s.Save(t.Context(), r)
		require.ErrorContains(t, err, "is not the id of this content")
	})
}

// One record that no store takes does not cost the others of the night, and none is stored that no reader takes.
func TestABadRecordIsLeftOut(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, url string) {
		s := open(t, url)
		spoilt, large, good := nightly("spoilt", 1, 100), nightly("large", 1, 100), nightly("good", 1, 100)
		spoilt.Cluster = "a\x00b"
		large.Measurements = nil
		for i := range 100 {
			m := baseline.Measurement{Point: fmt.Sprint("con", i), Metric: "x", Unit: "ms"}
			for k := range 10_000 {
				m.Values = append(m.Values, 1e9/float64(k+3))
			}
			large.Measurements = append(large.Measurements, m)
		}
		saved, err := s.Save(t.Context(), spoilt.Normal(), large.Normal(), good)
		require.Equal(t, baseline.Saved{Added: 1}, saved)
		require.ErrorContains(t, err, "of case spoilt cannot be stored: cluster has control characters")
		require.ErrorContains(t, err, "of case large cannot be stored: it is longer than 16777216 bytes")
		require.False(t, baseline.IsUnavailable(err))
		h, err := s.History(t.Context(), baseline.Query{Case: "good", Match: good.Match})
		require.NoError(t, err)
		require.Equal(t, []baseline.Record{good}, h.Runs)
	})
}

// What jobs may have written of their machines spoils no record.
func TestMachinesAreStoredInPlainText(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, url string) {
		s := open(t, url)
		r := nightly("c", 1, 100)
		r.Repetitions[0].Machine = &rundir.Machine{
			Facts:    map[string]string{"driver": "580", "os": "a\x00b"},
			Cards:    []rundir.Card{{Node: "n1", UUID: "GPU-\x1b[m", Name: "H200"}},
			Suspects: []rundir.Suspicion{{Kind: "slow", Node: "n1", Text: "a\xffb"}},
		}
		require.Equal(t, baseline.Saved{Added: 1}, save(t, s, r.Normal()))
		require.Equal(t, "a\x00b", r.Repetitions[0].Machine.Facts["os"], "the caller's own stays")
		h, err := s.History(t.Context(), baseline.Query{Case: "c", Match: r.Match})
		require.NoError(t, err)
		require.Equal(t, &rundir.Machine{
			Facts:    map[string]string{"driver": "580", "os": "a·b"},
			Cards:    []rundir.Card{{Node: "n1", UUID: "GPU-·[m", Name: "H200"}},
			Suspects: []rundir.Suspicion{{Kind: "slow", Node: "n1", Text: "a·b"}},
		}, h.Runs[0].Repetitions[0].Machine)
	})
}

// Twenty processes write at once; nothing is lost and nothing is doubled.
func TestTwentyWriters(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, url string) {
		exe, err := os.Executable()
		require.NoError(t, err)
		const writers, each = 20, 5
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				run(t, []string{fmt.Sprintf("%s=%s|%d|%d", writerEnv, url, w, each)}, exe)
			})
		}
		wg.Wait()
		seen := map[string]int{}
		warnings, err := open(t, url).Each(t.Context(), baseline.Filter{}, func(r baseline.Record) error {
			seen[r.ID]++
			return nil
		})
		require.NoError(t, err)
		require.Empty(t, warnings)
		require.Len(t, seen, writers*each+each, "each writer's own records, and those that all share")
		for id, n := range seen {
			require.Equal(t, 1, n, id)
		}
	})
}

// A store that was not there is made by who saves, who then says so.
func TestANewStoreSaysSo(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, url string) {
		r := nightly("c", 1, 100)
		q := baseline.Query{Case: "c", Match: r.Match}
		first := open(t, url)
		h, err := first.History(t.Context(), q)
		require.NoError(t, err)
		require.Len(t, h.Warnings, 1)
		require.Contains(t, h.Warnings[0], "was not there and has been made")
		h, err = open(t, url).History(t.Context(), q)
		require.NoError(t, err)
		require.Empty(t, h.Warnings, "it was there")
		save(t, first, r)
		h, err = first.History(t.Context(), q)
		require.NoError(t, err)
		require.Empty(t, h.Warnings)
	})
	_, err := baseline.Open(t.Context(), "dir:"+t.TempDir()+"/not/mounted", true)
	require.ErrorAs(t, err, new(*baseline.UnavailableError), "the parent of a store is not made")
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"no directory":       "dir:" + t.TempDir() + "/gone",
		"unmounted":          "dir:" + t.TempDir(),
		"no server":          "postgres://bob:hunter2@127.0.0.1:1/db?connect_timeout=2",
		"no socket":          "postgres://bob:hunter2@/db?host=" + t.TempDir(),
		"nothing migrated":   postgres(t),
		"wrong database":     strings.Replace(postgres(t), "postgres@/", "postgres:hunter2@/not", 1),
		"password as option": "postgres://bob@127.0.0.1:1/db?password=hunter2",
	}
	for name, url := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := baseline.Open(t.Context(), url, false)
			var un *baseline.UnavailableError
			require.ErrorAs(t, err, &un)
			require.NotContains(t, err.Error(), "hunter2")
			require.NotContains(t, fmt.Sprintf("%+v %#v", un.Err, un.Store), "hunter2")
		})
	}
	for _, url := range []string{"", "mysql://bob:hunter2@h/db", "postgres://bob:hun%zzter2@h/db", "postgres://bob:hunter2@h/db?sslmode=maybe", "dir:", "bob:hunter2"} {
		_, err := baseline.Open(t.Context(), url, false)
		require.Error(t, err)
		require.False(t, errors.As(err, new(*baseline.UnavailableError)), "%q is a mistake, not an outage", url)
		require.NotContains(t, err.Error(), "hunter2", url)
		require.NotContains(t, err.Error(), "ter2", url)
	}
}

func TestNewerSchemasAreRefused(t *testing.T) {
	t.Parallel()
	url := postgres(t)
	open(t, url)
	conn := connect(t, url)
	_, err := conn.Exec(t.Context(), `INSERT INTO ci_disagg_schema (version) VALUES (99)`)
	require.NoError(t, err)
	_, err = baseline.Open(t.Context(), url, true)
	require.ErrorContains(t, err, "newer than this ci-disagg understands")
	require.ErrorAs(t, err, new(*baseline.UnavailableError))
}

func TestCancelledCallsEnd(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, url string) {
		s := open(t, url)
		save(t, s, nightly("c", 1, 100))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.History(ctx, baseline.Query{Case: "c"})
		require.ErrorAs(t, err, new(*baseline.UnavailableError))
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestRecordIDs(t *testing.T) {
	t.Parallel()
	base := nightly("c", 1, 100)
	same := base
	same.Measurements = nil // what was measured is not who it is
	same.Valid, same.Problems = false, []string{"x"}
	require.Equal(t, base.ID, same.Normal().ID)
	for name, change := range map[string]func(*baseline.Record){
		"case":   func(r *baseline.Record) { r.Case = "d" },
		"match":  func(r *baseline.Record) { r.Match = map[string]string{"gpu_type": "GB200", "tp": "4"} },
		"time":   func(r *baseline.Record) { r.Time = r.Time.Add(time.Second) },
		"run":    func(r *baseline.Record) { r.Run = "other" },
		"branch": func(r *baseline.Record) { r.Build.Branch = "x" },
		"mode":   func(r *baseline.Record) { r.Build.Mode = "pr" },
	} {
		r := base
		change(&r)
		require.NotEqual(t, base.ID, r.Normal().ID, name)
	}
	data, err := json.Marshal(base)
	require.NoError(t, err)
	var back baseline.Record
	require.NoError(t, json.Unmarshal(data, &back))
	require.Equal(t, base, back.Normal())
}

func TestNodeGroup(t *testing.T) {
	t.Parallel()
	require.Equal(t, "", baseline.NodeGroup(nil))
	require.Equal(t, "gb-035-node", baseline.NodeGroup([]string{"gb-035-node04", "gb-035-node05.cluster.local"}))
	require.Equal(t, "a-+b-", baseline.NodeGroup([]string{"b-1", "a-2"}))
	require.Equal(t, "1234", baseline.NodeGroup([]string{"1234"}))
}
