package judging_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

func TestSetPin(t *testing.T) {
	t.Parallel()
	const file = `# the team's baselines
schema: 1

cases:
  "a[x]": # disagg
    ttft_median_ms: 80   # was 90

    tpot_median_ms: {value: 9,
      tolerance: 5%}
    e2el_median_ms:
      value: 3
      tolerance: 5%
  b:
    ttft_median_ms: [{match: {gpu_type: B200}, value: 3}]
# end
`
	value := 81.5
	entry := judging.PinEntry{Metric: "ttft_median_ms", Value: &value, Tolerance: 0.05, By: "ana", At: "2026-11-21", Why: `new "kernel": #7`}
	line := `ttft_median_ms: {value: 81.5, tolerance: 0.05, by: ana, at: "2026-11-21", why: "new \"kernel\": #7"}` + "\n"
	tests := map[string]struct {
		in, caseID string
		change     func(*judging.PinEntry)
		want       []string // before and after the new line; nil: an error
		err        string
	}{
		"into nothing":   {"", "c", nil, []string{"schema: 1\ncases:\n  c:\n    ", ""}, ""},
		"no cases yet":   {"schema: 1\n", "c", nil, []string{"schema: 1\ncases:\n  c:\n    ", ""}, ""},
		"replace a line": {"schema: 1\ncases:\n  c:\n    # x\n    ttft_median_ms: 80\n    # y\n", "c", nil, []string{"schema: 1\ncases:\n  c:\n    # x\n    ", "    # y\n"}, ""},
		"replace a block": {
			"schema: 1\ncases:\n  c:\n    ttft_median_ms:\n      value: 80\n      why: |\n        long\n        story\n    tpot_median_ms: 3\n", "c", nil,
			[]string{"schema: 1\ncases:\n  c:\n    ", "    tpot_median_ms: 3\n"},
			"",
		},
		"other indent": {"schema: 1\ncases:\n      c:\n          tpot_median_ms: 3\n", "c", nil, []string{"schema: 1\ncases:\n      c:\n          tpot_median_ms: 3\n          ", ""}, ""},
		"one line":     {"schema: 1\ncases: {c: {tpot_median_ms: 3}}\n", "c", nil, nil, "cases is written in one line; edit it by hand"},
		"a list":       {file, "b", nil, nil, "has a list of entries; edit it by hand"},
		"broken file":  {"schema: 1\ncases:\n  c: {ttft: 3}\n", "c", nil, nil, "is not a known metric"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := entry
			if tt.change != nil {
				tt.change(&e)
			}
			got, err := judging.SetPin("f", []byte(tt.in), tt.caseID, e, metric.Default())
			if tt.want == nil {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want[0]+line+tt.want[1], string(got))
		})
	}

	e := entry
	got, err := judging.SetPin("f", []byte(file), "a[x]", e, metric.Default())
	require.NoError(t, err)
	e.Metric, e.Point = "tpot_median_ms", "con64"
	got, err = judging.SetPin("f", got, "a[x]", e, metric.Default())
	require.NoError(t, err)
	e.Point = ""
	got, err = judging.SetPin("f", got, "a[x]", e, metric.Default())
	require.NoError(t, err)
	got, err = judging.SetPin("f", got, "new: case", e, metric.Default())
	require.NoError(t, err)
	const pin = ` {value: 81.5, tolerance: 0.05, by: ana, at: "2026-11-21", why: "new \"kernel\": #7"}` + "\n"
	require.Equal(t, `# the team's baselines
schema: 1

cases:
  "a[x]": # disagg
    ttft_median_ms:`+pin+`
    tpot_median_ms:`+pin+`    e2el_median_ms:
      value: 3
      tolerance: 5%
    con64/tpot_median_ms:`+pin+`  b:
    ttft_median_ms: [{match: {gpu_type: B200}, value: 3}]
  "new: case":
    tpot_median_ms:`+pin+`# end
`, string(got))
	pins, err := judging.ParsePins("f", got, metric.Default())
	require.NoError(t, err)
	require.Equal(t, `new "kernel": #7`, pins.Cases["new: case"][0].Why)
	require.InDelta(t, 0.05, pins.Cases["new: case"][0].Tolerance, 1e-12)
}

func FuzzPins(f *testing.F) {
	f.Add([]byte("schema: 1\ncases:\n  c:\n    ttft_median_ms: [{match: {a: b}, value: 3, tolerance: 5%}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := judging.ParsePins("f", data, metric.Default())
		if err != nil {
			require.NotContains(t, err.Error(), "judging.", "no Go type name in a message")
		}
	})
}
