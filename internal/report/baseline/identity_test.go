package baseline_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/compare"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/trends"
)

// on is the run as one of the cluster's series, with further match values.
func on(cluster string, r baseline.Record, more ...string) baseline.Record {
	r.Cluster = cluster
	r.Match = maps.Clone(r.Match)
	r.Match["cluster"] = cluster
	for i := 0; i < len(more); i += 2 {
		r.Match[more[i]] = more[i+1]
	}
	return r.Normal()
}

// unnamed is a run that says nothing of its cluster.
func unnamed(r baseline.Record) baseline.Record {
	r.Cluster = ""
	return r.Normal()
}

// as is the run, in another mode.
func as(mode string, r baseline.Record) baseline.Record {
	r.Build.Mode = mode
	return r.Normal()
}

// invalid is the run, as no measurement.
func invalid(r baseline.Record) baseline.Record {
	r.Invalidate("its clock jumped")
	return r.Normal()
}

// A run that is reported again under match values that name more is itself, and no copy of what was stored of it.
func TestARunIsNotItsOwnPast(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, url string) {
		s := open(t, url)
		before, was := unnamed(nightly("c", 0, 99)), nightly("c", 1, 100)
		was.Cluster = "east"
		save(t, s, before, was.Normal())
		again := on("east", was)
		h, err := s.History(t.Context(), baseline.Query{Case: "c", Match: again.Match, Except: again.ID, Before: again.Time.Add(1)})
		require.NoError(t, err)
		require.Equal(t, []baseline.Record{before}, h.Runs)
	})
}

// What people said of a run holds for it under match values that name more, too: of the one that is judged, and of one
// that was stored again, with the old one withdrawn or the new.
func TestWhatWasSaidOfARunGoesWithIt(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, url string) {
		s := open(t, url)
		was := nightly("c", 1, 100)
		was.Cluster = "east"
		was = was.Normal()
		again := on("east", was)
		save(t, s, was, act(baseline.KindAccept, was))
		history := func(except string) baseline.History {
			h, err := s.History(t.Context(), baseline.Query{Case: "c", Match: again.Match, Except: except})
			require.NoError(t, err)
			return h
		}
		require.Equal(t, again.ID, history(again.ID).Acts[0].Act.Target)
		save(t, s, again)
		h := history("")
		require.Equal(t, []baseline.Record{again}, h.Runs)
		require.Len(t, h.Acts, 1)
		require.Equal(t, again.ID, h.Acts[0].Act.Target)
		for _, r := range []baseline.Record{was, again} {
			withdrawn := act(baseline.KindWithdraw, r)
			save(t, s, withdrawn)
			require.Empty(t, history("").Runs)
			_, err := s.Delete(t.Context(), baseline.Filter{IDs: []string{withdrawn.ID}})
			require.NoError(t, err)
		}
		save(t, s, act(baseline.KindWithdraw, was))
		g, err := trends.Gather(t.Context(), s, time.Time{}, nil)
		require.NoError(t, err)
		require.Empty(t, g.Histories, "pages show nothing that is withdrawn")
		find := compare.Finder{Store: url, Dir: t.TempDir()}
		_, err = find.Compare(t.Context(), "branch:main", "branch:main", compare.Options{Setup: judging.Setup{Metrics: metric.Default()}})
		require.ErrorContains(t, err, "no usable run")
	})
}

// A record that nobody here can read may be a newer version's run that counts.
func TestARivalThatCannotBeReadClaimsToo(t *testing.T) {
	t.Parallel()
	root := t.TempDir() + "/store"
	s := open(t, "dir:"+root)
	old := unnamed(nightly("c", 0, 100))
	rival := on("east", nightly("c", 6, 1), "router", "x")
	save(t, s, old, rival)
	files, err := filepath.Glob(root + "/cases/*/*/branch-*/*/*.json")
	require.NoError(t, err)
	spoilt := 0
	for _, f := range files {
		if data, err := os.ReadFile(f); err == nil && bytes.Contains(data, []byte(`"router"`)) {
			require.NoError(t, os.WriteFile(f, []byte(`{"schema": 99}`), 0o600))
			spoilt++
		}
	}
	require.Equal(t, 1, spoilt)
	h, err := s.History(t.Context(), baseline.Query{Case: "c", Match: on("east", nightly("c", 7, 1)).Match})
	require.NoError(t, err)
	require.Empty(t, h.Runs, "it may be a newer version's")
}

// What earlier versions stored, without the cluster and the settings of the client in
// its identity, belongs to the one series that may claim it.
func TestRunsOfEarlierVersions(t *testing.T) {
	t.Parallel()
	old := []baseline.Record{unnamed(nightly("c", 0, 100)), unnamed(nightly("c", 1, 101)), unnamed(nightly("c", 2, 102))}
	east := on("east", nightly("c", 5, 105), "client_isl", "2048", "gen_serving_backend", "pytorch")
	west := on("west", nightly("c", 6, 95), "client_isl", "2048", "gen_serving_backend", "pytorch")
	routed := on("east", nightly("c", 6, 1), "router", "x")
	onBranch := func(branch string, r baseline.Record) baseline.Record {
		r.Build.Branch = branch
		return r.Normal()
	}
	for _, tt := range []struct {
		name    string
		stored  []baseline.Record
		of      baseline.Record
		want    []baseline.Record
		warning string
	}{
		{name: "the first run of a version that knows more", stored: old, of: east, want: old},
		{name: "one cluster", stored: append(slices.Clone(old), east), of: on("east", nightly("c", 7, 1), "client_isl", "2048", "gen_serving_backend", "pytorch"), want: append(slices.Clone(old), east)},
		{name: "a second cluster", stored: append(slices.Clone(old), east), of: west, warning: "3 older runs name no cluster .* on cluster east too: 'ci-disagg baseline split'"},
		{name: "and the first one then", stored: append(slices.Clone(old), east, west), of: east, want: []baseline.Record{east}, warning: "on cluster west too"},
		{name: "a run says its cluster itself", stored: []baseline.Record{nightly("c", 0, 1), old[1]}, of: on("west", nightly("c", 5, 1)), warning: "1 older runs .* on cluster oci too"},
		{name: "which is this one", stored: []baseline.Record{nightly("c", 0, 1), west}, of: on("oci", nightly("c", 5, 1)), want: []baseline.Record{nightly("c", 0, 1)}},
		{name: "other settings may claim them, too", stored: append(slices.Clone(old), east), of: on("east", nightly("c", 7, 1), "client_isl", "4096")},
		{name: "not a pull request's", stored: append(slices.Clone(old), as("pr", routed)), of: on("east", nightly("c", 7, 1)), want: old},
		{name: "nor its cluster", stored: append(slices.Clone(old), as("pr", west)), of: east, want: old},
		{name: "nor a bisect's", stored: append(slices.Clone(old), as("bisect", routed)), of: on("east", nightly("c", 7, 1)), want: old},
		{name: "nor a session's", stored: append(slices.Clone(old), as("ab", routed)), of: on("east", nightly("c", 7, 1)), want: old},
		{name: "nor the reference's", stored: append(slices.Clone(old), as("reference", routed)), of: on("east", nightly("c", 7, 1)), want: old},
		{name: "nor those of an invalid run", stored: append(slices.Clone(old), invalid(routed)), of: on("east", nightly("c", 7, 1)), want: old},
		{name: "nor those of what people said", stored: append(slices.Clone(old), act(baseline.KindWithdraw, routed)), of: on("east", nightly("c", 7, 1)), want: old},
		{name: "those of a valid run before it do", stored: append(slices.Clone(old), routed, invalid(on("east", nightly("c", 8, 1), "router", "x"))), of: on("east", nightly("c", 9, 1))},
		{name: "of another branch, too", stored: append(slices.Clone(old), onBranch("release", routed)), of: on("east", nightly("c", 7, 1))},
		{name: "a router's settings are new, too", stored: old, of: on("east", nightly("c", 7, 1), "ctx_router", "type=kv_cache_aware"), want: old},
		{name: "another router is another history", stored: []baseline.Record{on("east", nightly("c", 5, 1), "router", "type=round_robin")}, of: on("east", nightly("c", 7, 1), "router", "type=kv_cache_aware")},
		{name: "another GPU is another history", stored: old, of: on("east", nightly("c", 7, 1), "gpu_type", "B200")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := baseline.Query{Case: "c", Match: tt.of.Match}
			bothStores(t, func(t *testing.T, url string) {
				s := open(t, url)
				save(t, s, on("zone", nightly("other", 0, 1))) // of no concern
				save(t, s, tt.stored...)
				_, err := s.History(t.Context(), q) // a store that was made now says so, once
				require.NoError(t, err)
				again, err := baseline.Open(t.Context(), url, false)
				require.NoError(t, err)
				defer func() { require.NoError(t, again.Close()) }()
				h, err := again.History(t.Context(), q)
				require.NoError(t, err)
				require.Equal(t, ids(tt.want), ids(h.Runs))
				require.Equal(t, h, baseline.Among(tt.stored, q), "what is shown is what is judged by")
				if tt.warning == "" {
					require.Empty(t, h.Warnings)
				} else {
					require.Len(t, h.Warnings, 1)
					require.Regexp(t, tt.warning, h.Warnings[0])
				}
			})
		})
	}
}

// A series whose runs are all removed claims nothing.
func TestARemovedSeriesClaimsNothing(t *testing.T) {
	t.Parallel()
	old, routed := unnamed(nightly("c", 0, 100)), on("east", nightly("c", 6, 1), "router", "x")
	bothStores(t, func(t *testing.T, url string) {
		s := open(t, url)
		save(t, s, old, routed)
		for _, want := range [][]baseline.Record{nil, {old}} {
			h, err := s.History(t.Context(), baseline.Query{Case: "c", Match: on("east", nightly("c", 7, 1)).Match})
			require.NoError(t, err)
			require.Equal(t, ids(want), ids(h.Runs))
			_, err = s.Delete(t.Context(), baseline.Filter{IDs: []string{routed.ID}})
			require.NoError(t, err)
		}
	})
}

// What people did about a run goes where the run goes.
func TestActsFollowTheirRun(t *testing.T) {
	t.Parallel()
	mine, theirs := nightly("c", 0, 100), nightly("c", 1, 80)
	theirs.Cluster = "west"
	theirs = theirs.Normal()
	acts := []baseline.Record{act(baseline.KindAccept, mine), act(baseline.KindAccept, theirs)}
	bothStores(t, func(t *testing.T, url string) {
		s := open(t, url)
		save(t, s, append([]baseline.Record{mine, theirs}, acts...)...)
		h, err := s.History(t.Context(), baseline.Query{Case: "c", Match: on("oci", mine).Match})
		require.NoError(t, err)
		require.Equal(t, ids([]baseline.Record{mine}), ids(h.Runs))
		require.Equal(t, ids(acts[:1]), ids(h.Acts))
	})
}

func TestSplitByCluster(t *testing.T) {
	t.Parallel()
	first, second, third := nightly("c", 0, 100), nightly("c", 1, 101), unnamed(nightly("c", 2, 102))
	second.Measurements[0].Onset = first.ID
	second = second.Normal()
	accept := act(baseline.KindAccept, second)
	note := baseline.Record{Kind: baseline.KindImport, Case: "*", Time: day(3), Act: &baseline.Act{By: "ana", At: day(3), Why: "x"}}.Normal()
	there := on("west", nightly("c", 3, 99))
	all := []baseline.Record{first, second, third, accept, note, there}

	s := baseline.SplitByCluster(all, "")
	require.Equal(t, ids([]baseline.Record{first, second, accept}), s.Old)
	require.Equal(t, 1, s.Unknown)
	require.Equal(t, []baseline.Move{{Case: "c", Match: first.Match, Cluster: "oci", Runs: 2}}, s.Moved)
	require.Len(t, s.Records, 3)
	for _, r := range s.Records {
		require.NoError(t, r.Validate())
		require.Equal(t, "oci", r.Match["cluster"])
	}
	require.Equal(t, s.Records[0].ID, s.Records[1].Measurements[0].Onset)
	require.Equal(t, s.Records[1].ID, s.Records[2].Act.Target)
	require.Equal(t, first.ID, second.Measurements[0].Onset, "what was read stays as it was")

	named := baseline.SplitByCluster(all, "east")
	require.Zero(t, named.Unknown)
	require.Equal(t, "east", named.Records[2].Cluster)
	require.Empty(t, baseline.SplitByCluster(append(s.Records, there, note), "").Records, "again: nothing")

	// A break between storing the new records and removing the old ones counts no run twice.
	bothStores(t, func(t *testing.T, url string) {
		store := open(t, url)
		save(t, store, append(slices.Clone(all), s.Records...)...)
		h, err := store.History(t.Context(), baseline.Query{Case: "c", Match: s.Records[0].Match})
		require.NoError(t, err)
		require.Equal(t, ids(s.Records[:2]), ids(h.Runs))
	})
}

func TestHeads(t *testing.T) {
	t.Parallel()
	old := map[string]string{"gpu_type": "GB200"}
	east := map[string]string{"gpu_type": "GB200", "cluster": "east"}
	west := map[string]string{"gpu_type": "GB200", "cluster": "west"}
	full := map[string]string{"gpu_type": "GB200", "cluster": "east", "client_isl": "2048"}
	type list = []map[string]string
	require.Equal(t, list{old}, baseline.Heads(list{old}))
	require.Equal(t, list{east}, baseline.Heads(list{old, east}))
	require.Equal(t, list{full}, baseline.Heads(list{old, east, full}))
	require.Equal(t, list{old, east, west}, baseline.Heads(list{old, east, west}), "nobody knows whose the old one is")
}

// A store of the first release, as it was written then.
func TestStoreOfSchema1(t *testing.T) {
	t.Parallel()
	s, err := baseline.Open(t.Context(), "dir:testdata/store-1", false)
	require.NoError(t, err)
	const id = "suite/test.py::test_e2e[disagg_upload-e2e-x]"
	for _, match := range []map[string]string{
		{"gpu_type": "GB200", "tp": "8"},
		{"gpu_type": "GB200", "tp": "8", "cluster": "east", "client_isl": "2048"},
	} {
		h, err := s.History(t.Context(), baseline.Query{Case: id, Match: match})
		require.NoError(t, err)
		require.Empty(t, h.Warnings)
		require.Len(t, h.Runs, 8)
		require.Len(t, h.Acts, 1)
		m, ok := h.Runs[0].Find("con64", tput)
		require.True(t, ok)
		require.Equal(t, []float64{1000, 1003}, m.Values)
	}
	require.NoError(t, s.Close())
}
