package judging_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// pinned is a set-up without a store and with what a file says of case c.
func pinned(t *testing.T, entries string) judging.Setup {
	t.Helper()
	pins, err := judging.ParsePins("baselines.yaml", []byte("schema: 1\ncases:\n  c:\n"+entries), metric.Default())
	require.NoError(t, err)
	return judging.Setup{Pins: pins, Metrics: metric.Default(), Policy: verdict.Policy{AllowNoBaseline: true}}
}

// TestAPinNeedsNoStore: a value that is pinned decides while there is no history, whatever its rule is.
func TestAPinNeedsNoStore(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{"100", "{value: 100, rule: fixed}", "{value: 100, rule: bws}", "{value: 100, rule: upstream}"} {
		set := pinned(t, "    "+tput+": "+entry+"\n")
		row := word(t, judge(t, set, nightly("c", 0, 50)), tput)
		require.Equal(t, verdict.Regression, row.Verdict, "%s: %s", entry, row.Reason)
		require.Contains(t, row.Reason, "pinned", entry)
		require.Equal(t, verdict.Pass, word(t, judge(t, set, nightly("c", 0, 100)), tput).Verdict, entry)
	}
	row := word(t, judge(t, pinned(t, "    "+tput+": {rule: bws, tolerance: 3%}\n"), nightly("c", 0, 50)), tput)
	require.Equal(t, verdict.NoBaseline, row.Verdict)
	require.Contains(t, row.Reason, "no value is pinned for it")
}

// TestABrokenPinIsNewOnce: what was red the night before is told already.
func TestABrokenPinIsNewOnce(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{"100", "{value: 100, rule: upstream}"} {
		inStore(t, func(t *testing.T, url string) {
			set := pinned(t, "    "+tput+": "+entry+"\n")
			set.Store = open(t, url)
			for i, night := range []struct {
				value float64
				red   bool
				alarm bool
			}{{99, false, false}, {50, true, true}, {51, true, false}, {49, true, false}, {100, false, false}, {52, true, true}, {53, true, false}} {
				j := judge(t, set, nightly("c", i, night.value))
				save(t, set.Store, j.Record)
				row := word(t, j, tput)
				require.Equal(t, night.red, row.Verdict == verdict.Regression, "%s, night %d: %s", entry, i, row.Reason)
				require.Equal(t, night.alarm, row.Alarm, "%s, night %d", entry, i)
			}
		})
	}
}

// TestABrokenPinIsNewWhereItGates: what was broken while it was only shown was told to nobody.
func TestABrokenPinIsNewWhereItGates(t *testing.T) {
	t.Parallel()
	for name, shown := range map[string]func(*judging.Setup){
		"functional_only": func(s *judging.Setup) { s.Policy.FunctionalOnly = true },
		"gate: false": func(s *judging.Setup) {
			s.Pins = pinned(t, "    "+tput+": {value: 100, gate: false}\n    con64/ttft_median_ms: {rule: bws, gate: true}\n").Pins
		},
	} {
		inStore(t, func(t *testing.T, url string) {
			set := pinned(t, "    "+tput+": 100\n")
			set.Store = open(t, url)
			only := set
			shown(&only)
			for i, night := range []struct {
				setup judging.Setup
				alarm bool
			}{{only, true}, {only, false}, {set, true}, {set, false}} {
				j := judge(t, night.setup, nightly("c", i, 50+float64(i)/100))
				save(t, set.Store, j.Record)
				row := word(t, j, tput)
				require.Equal(t, verdict.Regression, row.Verdict, "%s, night %d: %s", name, i, row.Reason)
				require.Equal(t, night.alarm, row.Alarm, "%s, night %d", name, i)
			}
		})
	}
}
