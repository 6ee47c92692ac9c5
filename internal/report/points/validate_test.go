package points

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/bench/steps"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func ptr(n int64) *int64 { return &n }

// good is a whole measurement of the point con8.
func good() bench.Result {
	d := 61.37
	return bench.Result{
		Format: bench.FormatServingText, File: "client.log", Line: 7, Point: rundir.Point{Concurrency: 8, InputLen: 1024, OutputLen: 512}, DurationS: &d,
		Counts:  bench.Counts{Requested: ptr(64), Completed: ptr(64), Failed: ptr(0), InputTokens: ptr(65536), OutputTokens: ptr(32768)},
		Samples: []bench.Sample{{Metric: "output_token_throughput", Value: 534}, {Metric: "tpot_median_ms", Value: 7.5}, {Metric: "gen_device_step_time_mean_ms", Value: 7}, {Metric: "gen_device_step_time_median_ms", Value: 7}},
	}
}

func planned() rundir.Expected {
	return rundir.Expected{
		Points:     []rundir.Point{{Name: "con8_iter8_isl1024_osl512", Concurrency: 8, Requests: 64, InputLen: 1024, OutputLen: 512}},
		Metrics:    []string{"output_token_throughput", "tpot_median_ms"},
		DeviceStep: true,
	}
}

func TestValidateFindsWhatForbidsTrust(t *testing.T) {
	t.Parallel()
	require.Empty(t, Validate([]bench.Result{good()}, planned()))
	for name, c := range map[string]struct {
		change func(*bench.Result, *rundir.Expected)
		want   string
	}{
		"requests failed":           {func(r *bench.Result, _ *rundir.Expected) { r.Failed = ptr(3) }, "3 requests failed"},
		"requests missing":          {func(r *bench.Result, _ *rundir.Expected) { r.Completed = ptr(61) }, "61 of 64 requests succeeded"},
		"fewer sent than planned":   {func(r *bench.Result, _ *rundir.Expected) { r.Requested, r.Completed = ptr(32), ptr(32) }, "was to send 64 requests but sent 32"},
		"client asked for more":     {func(r *bench.Result, _ *rundir.Expected) { r.Requested = ptr(80) }, "64 of 80 requests succeeded"},
		"nothing succeeded":         {func(r *bench.Result, _ *rundir.Expected) { r.Completed = ptr(0) }, "no request succeeded"},
		"success not stated":        {func(r *bench.Result, _ *rundir.Expected) { r.Completed = nil }, "does not say how many requests succeeded"},
		"no token":                  {func(r *bench.Result, _ *rundir.Expected) { r.OutputTokens = ptr(0) }, "no token was generated"},
		"less than a token each":    {func(r *bench.Result, _ *rundir.Expected) { r.OutputTokens = ptr(63) }, "less than one each"},
		"far too few tokens":        {func(r *bench.Result, _ *rundir.Expected) { r.OutputTokens = ptr(12000) }, "too few"},
		"no input":                  {func(r *bench.Result, _ *rundir.Expected) { r.InputTokens = ptr(0) }, "no input token"},
		"metric missing":            {func(r *bench.Result, _ *rundir.Expected) { r.Samples = r.Samples[1:] }, "output_token_throughput is missing"},
		"metric zero":               {func(r *bench.Result, _ *rundir.Expected) { r.Samples[1].Value = 0 }, "tpot_median_ms is 0"},
		"device step missing":       {func(r *bench.Result, _ *rundir.Expected) { r.Samples = r.Samples[:3] }, "gen_device_step_time_median_ms is missing"},
		"problem of the reader":     {func(r *bench.Result, _ *rundir.Expected) { r.Problems = []bench.Problem{{Text: "cut off"}} }, "cut off"},
		"other concurrency":         {func(r *bench.Result, _ *rundir.Expected) { r.Concurrency = 16 }, "con8_iter8_isl1024_osl512 was planned but there is no result"},
		"unplanned":                 {func(r *bench.Result, _ *rundir.Expected) { r.Concurrency = 16 }, "con16 was measured but not planned"},
		"other length":              {func(r *bench.Result, _ *rundir.Expected) { r.OutputLen = 1024 }, "was planned but there is no result"},
		"accuracy missing":          {func(_ *bench.Result, w *rundir.Expected) { w.Accuracy = true }, "no accuracy result"},
		"second point not measured": {func(_ *bench.Result, w *rundir.Expected) { w.Points = append(w.Points, rundir.Point{Concurrency: 64}) }, "con64 was planned but there is no result"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, want := good(), planned()
			c.change(&r, &want)
			var all []string
			for _, p := range Validate([]bench.Result{r}, want) {
				all = append(all, p.String())
			}
			require.Contains(t, strings.Join(all, "\n"), c.want)
		})
	}
}

func TestValidateWithoutResults(t *testing.T) {
	t.Parallel()
	require.Len(t, Validate(nil, rundir.Expected{}), 1, "nothing measured is not a pass")
	require.Len(t, Validate(nil, planned()), 1)
	require.Empty(t, Validate([]bench.Result{good()}, rundir.Expected{}))
	accuracyOnly := bench.Result{Format: bench.FormatLMEvalText, Accuracy: []bench.Score{{Task: "gsm8k"}}}
	require.Empty(t, Validate([]bench.Result{accuracyOnly}, rundir.Expected{Accuracy: true}))
}

func TestValidateMatchesEqualPointsOneByOne(t *testing.T) {
	t.Parallel()
	want := planned()
	want.Points = append(want.Points, want.Points[0])
	require.Empty(t, Validate([]bench.Result{good(), good()}, want))
	require.Len(t, Validate([]bench.Result{good()}, want), 1)
	require.Len(t, Validate([]bench.Result{good(), good(), good()}, want), 1)
}

func TestCombine(t *testing.T) {
	t.Parallel()
	text, exact := good(), good()
	text.Samples = []bench.Sample{{Metric: "output_token_throughput", Value: 533.95}, {Metric: "ttft_p95_ms", Value: 3}}
	text.Problems = []bench.Problem{{Text: "marker"}}
	text.Failed = ptr(1)
	d := 61.36854
	exact.Format, exact.File, exact.DurationS, exact.Failed, exact.Name = bench.FormatServingJSON, "x.json", &d, nil, "point"
	exact.Samples = []bench.Sample{{Metric: "output_token_throughput", Value: 533.9543}}

	for _, order := range [][]bench.Result{{text, exact}, {exact, text}} {
		got := Combine(order)
		require.Len(t, got, 1)
		v, _ := got[0].Value("output_token_throughput")
		require.InDelta(t, 533.9543, v, 0, "the exact number wins")
		_, ok := got[0].Value("ttft_p95_ms")
		require.True(t, ok, "what only the table says stays")
		require.Len(t, got[0].Problems, 1)
		require.EqualValues(t, 1, *got[0].Failed)
		require.Equal(t, "point", got[0].Name)
	}

	other := exact
	later := 64.0
	other.DurationS = &later
	require.Len(t, Combine([]bench.Result{text, other}), 2, "another run of the client stays apart")
	other = exact
	other.Completed = ptr(63)
	require.Len(t, Combine([]bench.Result{text, other}), 2)
}

// Tables of repetitions that took equally long go to the JSON files with their numbers, whatever is read first.
func TestCombineRepetitions(t *testing.T) {
	t.Parallel()
	seconds := 9.81
	result := func(file, format string, ttft float64) bench.Result {
		return bench.Result{File: file, Format: format, DurationS: &seconds, Samples: []bench.Sample{{Metric: "ttft_median_ms", Value: ttft}}}
	}
	json1, json2 := result("1.json", bench.FormatServingJSON, 61.527), result("2.json", bench.FormatServingJSON, 48.113)
	text1, text2 := result("x.log", bench.FormatServingText, 61.53), result("x.log", bench.FormatServingText, 48.11)
	for _, order := range [][]bench.Result{{json1, json2, text1, text2}, {text1, text2, json1, json2}, {json2, text1, text2, json1}, {text2, json1, json2, text1}} {
		got := Combine(order)
		require.Len(t, got, 2)
		for _, r := range got {
			require.Empty(t, r.Problems)
			require.Equal(t, bench.FormatServingJSON, r.Format)
			require.Equal(t, []string{"x.log"}, r.Also)
		}
	}
}

// Two outputs of one run that contradict each other: nobody knows which one is right.
func TestCombineContradictions(t *testing.T) {
	t.Parallel()
	seconds, n := 12.34, int64(64)
	result := func(file, format string, tput float64) bench.Result {
		return bench.Result{
			File: file, Format: format, DurationS: &seconds, Counts: bench.Counts{Completed: &n}, Point: rundir.Point{Concurrency: 8},
			Samples: []bench.Sample{{Metric: "output_token_throughput", Value: tput, Line: 7}, {Metric: "ttft_median_ms", Value: 100}},
		}
	}
	exact := result("d/x.json", bench.FormatServingJSON, 331.087845)
	for value, problem := range map[float64]string{331.09: "", 331.2: "", 340: "d/x.log:7: output_token_throughput is 340 here and 331.087845 in x.json, of the same run", 0: "d/x.log:7: output_token_throughput is 0 here"} {
		for _, order := range [][]bench.Result{{exact, result("d/x.log", bench.FormatServingText, value)}, {result("d/x.log", bench.FormatServingText, value), exact}} {
			got := Combine(order)
			require.Len(t, got, 1)
			require.InDelta(t, 331.087845, got[0].Samples[0].Value, 0)
			require.Equal(t, problem != "", len(got[0].Problems) == 1, "%v", got[0].Problems)
			if problem != "" {
				require.Contains(t, got[0].Problems[0].String(), problem)
			}
		}
	}
}

func TestCombineStepTimes(t *testing.T) {
	t.Parallel()
	worker := func(file string, used int64, mean float64) bench.Result {
		return bench.StepResult(steps.Log{Used: used, Rows: used, Stats: steps.Stats{Mean: mean, Median: mean, Std: 1, P75: mean + 1, P99: mean + 2}}, file)
	}
	client := good()
	client.Samples, client.File = nil, "out/client.log"
	a, b, silent := worker("out/gen_server_0.log", 10, 6), worker("out/gen_server_1.log", 30, 8), worker("out/gen_server_2.log", 0, 0)

	got := Combine([]bench.Result{a, client, b})
	require.Len(t, got, 1)
	v, ok := got[0].Value("gen_device_step_time_mean_ms")
	require.True(t, ok)
	require.InDelta(t, 7, v, 0, "servers count alike, whatever they logged")
	require.Empty(t, got[0].Problems)

	got = Combine([]bench.Result{a, client, silent})
	require.Len(t, got[0].Problems, 1, "one server logged, another did not")
	got = Combine([]bench.Result{silent, client})
	require.Len(t, got, 1)
	require.Empty(t, got[0].Problems, "no iteration log in this mode")

	two := client
	two.Concurrency = 16
	later := 99.0
	two.DurationS = &later
	got = Combine([]bench.Result{a, client, two, b})
	require.Len(t, got, 3)
	require.Equal(t, bench.FormatSteps, got[2].Format)

	known := client
	known.Samples = []bench.Sample{{Metric: "gen_device_step_time_mean_ms", Value: 6.9}}
	got = Combine([]bench.Result{known, a})
	v, _ = got[0].Value("gen_device_step_time_mean_ms")
	require.InDelta(t, 6.9, v, 0, "the test knows the client's window")
	for stat, want := range map[string]float64{"median": 6, "std": 1, "p75": 7, "p99": 8} {
		v, ok = got[0].Value("gen_device_step_time_" + stat + "_ms")
		require.True(t, ok, "the summary had the mean only: the log fills in the others, each by itself")
		require.InDelta(t, want, v, 0)
	}
}

// The log of a client has a value that the JSON beside it lacks, and a test's
// summary has the mean only: sources complete each other.
func TestSourcesCompleteEachOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	write("result.json", `{"duration": 12.5, "completed": 64, "num_prompts": 64, "max_concurrency": 8, "output_throughput": 2621.4, "median_ttft_ms": 44}`)
	write("trtllm-benchmark.0.0.log", "running the client\nUser throughput (tok/s):                 351.20\nAverage Per Iter Device Step Time (ms): 7.25\n")
	found, err := Reader{}.Gather(dir)
	require.NoError(t, err)
	require.Empty(t, found.Problems)
	require.Len(t, found.Results, 1)
	r := found.Results[0]
	require.Equal(t, bench.FormatServingJSON, r.Format)
	for name, want := range map[string]float64{"output_token_throughput": 2621.4, "ttft_median_ms": 44, "user_throughput": 351.2, "gen_device_step_time_mean_ms": 7.25} {
		v, ok := r.Value(name)
		require.True(t, ok, name)
		require.InDelta(t, want, v, 0)
	}

	write("result2.json", `{"duration": 13.5, "completed": 128, "num_prompts": 128, "max_concurrency": 16, "output_throughput": 3000}`)
	found, err = Reader{}.Gather(dir)
	require.NoError(t, err)
	require.Len(t, found.Results, 3, "of two runs nobody knows which one the log tells of")

	require.NoError(t, os.Remove(filepath.Join(dir, "result2.json")))
	write("result.json", `{"duration": 12.5, "completed": 64, "num_prompts": 64, "max_concurrency": 8, "output_throughput": 2621.4, "user_throughput": 290}`)
	found, err = Reader{}.Gather(dir)
	require.NoError(t, err)
	require.Len(t, found.Results, 1)
	require.Len(t, found.Results[0].Problems, 1, "they contradict each other")
}
