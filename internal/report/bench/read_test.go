package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRecognition(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]bool{
		`{"a": 1}`: true, "\n\t {}": true, "[{}]": true, "[[1]]": true, "": false, "[TRT-LLM] [I] x": false, "[12:00:01] x": false,
		"{not json": false, "Namespace(a={})": false, "[[TRT-LLM] x": false,
	} {
		require.Equal(t, want, looksLikeJSON([]byte(content)), content)
	}
}

func TestByteOrderMarkAndForeignFiles(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(samples, "trtllm/nan.json"))
	require.NoError(t, err)
	got, err := Read(strings.NewReader("\xef\xbb\xbf"+string(data)), "x")
	require.NoError(t, err)
	require.Len(t, got, 1)
	for _, foreign := range []string{"", "\n", "{}", "[]", `{"duration": 1}`, `"text"`, "hello", "\x00\x01\x02", "a,b\n1,2\n", "|a|b|\n|1|2|\n"} {
		_, err := Read(strings.NewReader(foreign), "x")
		require.ErrorIs(t, err, ErrUnrecognised, "%q", foreign)
	}
}

func TestReadErrorsOfTheStreamAreReported(t *testing.T) {
	t.Parallel()
	broken := errors.New("stale file handle")
	for _, start := range []string{"", "{\"duration\": 1,", "Namespace(\n", "network_name,perf_metric,metric_type,test_name\n1,2,3,4\n"} {
		_, err := Read(io.MultiReader(strings.NewReader(start), errReader{broken}), "x.log")
		require.ErrorIs(t, err, broken, "%q", start)
		require.ErrorContains(t, err, "x.log")
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestTextEdges(t *testing.T) {
	t.Parallel()
	const head = "============ Serving Benchmark Result ============\n"
	const end = "==================================================\n"
	problems := func(log string) string {
		got, err := Read(strings.NewReader(log), "x")
		require.NoError(t, err)
		return describe(got, nil)
	}
	require.Contains(t, problems(head+"Mean TTFT (ms):   1.0\nMean TTFT (ms):   2.0\n"+end), "ttft_mean_ms is given twice: 1 and 2")
	require.NotContains(t, problems(head+"Median TTFT (ms):   1.0\nP50 TTFT (ms):   1.0\n"+end), "problem")
	require.Contains(t, problems(head+"Mean TTFT (ms):   abc\n"+end), `mean ttft (ms) is "abc", not a number`)
	require.Contains(t, problems(head+"Successful requests:   nan\n"+end), `successful requests is "nan", not a number`)
	require.Contains(t, problems(head+head+end), "another one begins before its end")
	require.Contains(t, problems(head+"Median TPOT (ms):  inf\n"+end), "problem x:2: tpot_median_ms is +Inf")
	require.Contains(t, problems(head+end+"!FAILED REQUESTS!\n"), "problem x:3: the client says !FAILED REQUESTS!")
	require.Contains(t, problems(head+"Total failed requests: 4\n"+end), "failed=4")
	peak := problems(head + "Peak output token throughput (tok/s):   9.0\nTotal token throughput (tok/s): 5\nTotal Token throughput (tok/s): 5\n" + end)
	require.NotContains(t, peak, " output_token_throughput")
	require.Contains(t, peak, "total_token_throughput               5")
	require.Contains(t, problems("Time Breakdown gen queue P99 (ms): 1.5\n"), "time_breakdown_gen_queue_p99_ms      1.5")
	// The size of a request is only meant for random data sets.
	ns := "Namespace(dataset_name='%s', num_prompts=10, max_concurrency=2, random_input_len=1024, random_output_len=128)\n"
	require.NotContains(t, problems(fmt.Sprintf(ns, "trtllm_custom")+head+end), "isl=")
	require.Contains(t, problems(fmt.Sprintf(ns, "random")+head+end), "isl=1024 osl=128")
	// What the client was told outweighs what it admits to have sent.
	require.Contains(t, problems(fmt.Sprintf(ns, "random")+head+"Total requests: 8\n"+end), "requested=10")
}

func TestLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxLine+peekSize+17)
	l := newLines(bufio.NewReaderSize(strings.NewReader("a\n\nb\rc\r\n"+long+"\nlast"), 64))
	var got []string
	for l.next() {
		text := string(l.text)
		if len(text) > 100 {
			text = fmt.Sprintf("%d bytes", len(text))
		}
		got = append(got, fmt.Sprintf("%d:%s", l.number, text))
	}
	require.NoError(t, l.fault())
	require.Equal(t, []string{"1:a", "2:", "3:b", "3:c", fmt.Sprintf("4:%d bytes", maxLine), "5:last"}, got)
	require.True(t, l.torn)
}

func TestParseNumber(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]float64{"12.34": 12.34, "1e-05": 1e-5, "1E3": 1000, "-0.5": -0.5, "73.47%": 73.47, "1,234.5": 1234.5, ".5": 0.5} {
		got, ok := parseNumber(s)
		require.True(t, ok, s)
		require.InDelta(t, want, got, 0, s)
	}
	for _, s := range []string{"", "x", "1_000", "0x1p3", "N/A", "1.2.3", "--1"} {
		_, ok := parseNumber(s)
		require.False(t, ok, s)
	}
}

func TestJSONFaultsNameTheLine(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"{\"a\": 1,\n\"b\" 2}": `x:2: expected : behind the key "b"`,
		"{\"a\": 1\n\"b\": 2}": "x:2: expected , or }",
		"{\n\n\"a\": [1 2]}":   "x:3: expected , or ]",
		"{\"a\": \"\\q\"}":     `x:1: \q is not an escape`,
		"{\"a\": \"\\u12g4\"}": "hexadecimal",
		"{\"a\": 12..5}":       `"12..5" is not a JSON value`,
		"{\"a\": 1":            "x:1: the file ends inside a JSON value",
		"{\"a\": \"tex":        "half-written",
		"[{}{}]":               "expected , or ]",
		"{\"a\": " + strings.Repeat("1", 600) + "}": "is not a JSON value",
		"{1: 2}": "",
	} {
		if want == "" {
			continue
		}
		_, err := Read(strings.NewReader(content), "x")
		require.ErrorContains(t, err, want, content)
		var p Problem
		require.ErrorAs(t, err, &p, content)
	}
}

func TestJSONStrings(t *testing.T) {
	t.Parallel()
	j := jsonReader{r: bufio64(`{"a/b~c": "\u00e9\ud83d\ude00\ud83d x\n\"` + "\xff" + `", "n": -1.5e-3, "deep": {"list": [1, {"x": true}, null]}, "cut": "` + strings.Repeat("é", jsonMaxString) + `"}`), array: 2}
	n := 0
	require.NoError(t, j.documents(func(d document) error {
		n++
		require.Equal(t, "é😀\uFFFD x\n\"\uFFFD", d.leaves["/a~1b~0c"].str)
		v, ok := d.number("/n")
		require.True(t, ok)
		require.InDelta(t, -0.0015, v, 0)
		require.True(t, d.leaves["/deep/list/1/x"].isTrue())
		require.NotContains(t, d.leaves, "/deep/list/2", "beyond the elements that are kept")
		require.LessOrEqual(t, len(d.leaves["/cut"].str), jsonMaxString)
		return nil
	}))
	require.Equal(t, 1, n)
}

// Memory must not grow with what a file holds beside its summary. Not parallel:
// it looks at the heap of the process.
func TestBoundedMemory(t *testing.T) {
	const size = 12 << 20
	head, err := os.ReadFile(filepath.Join(samples, "trtllm/nan.json"))
	require.NoError(t, err)
	summary := strings.TrimSuffix(strings.TrimSpace(string(head)), "}")
	for name, r := range map[string]io.Reader{
		"generated texts": io.MultiReader(strings.NewReader(summary+`, "generated_texts": ["`), endless("lorem \\n ipsum ", size), strings.NewReader(`"]}`)),
		"arrays":          io.MultiReader(strings.NewReader(summary+`, "itls": [[0.1`), endless(", 0.0123", size), strings.NewReader(`]]}`)),
		"one long line":   io.MultiReader(endless("x", size), strings.NewReader("\n"+trtTable)),
		"progress bars":   io.MultiReader(endless("Benchmarking: 12%|█ | 1/2\r", size), strings.NewReader("\n"+trtTable)),
		"an open quote":   io.MultiReader(strings.NewReader("test_name,perf_metric,metric_type\n\""), endless("1,2\n", maxCSV+(1<<20))),
	} {
		t.Run(name, func(t *testing.T) {
			watch := &heapWatch{r: r}
			got, err := Read(watch, "x")
			limit := uint64(6 << 20)
			if name == "an open quote" {
				require.ErrorContains(t, err, "larger than 16 MB")
				limit = 10 * maxCSV // a bounded amount, not the size of the file
			} else {
				require.NoError(t, err)
				require.Len(t, got, 1)
			}
			require.Less(t, watch.peak, limit)
		})
	}
}

// heapWatch looks at the live heap at every few megabytes that are read.
type heapWatch struct {
	r          io.Reader
	n, next    int64
	base, peak uint64
}

func (h *heapWatch) Read(b []byte) (int, error) {
	if h.n >= h.next {
		h.next += 8 << 20
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		if h.base == 0 {
			h.base = m.HeapAlloc
		}
		h.peak = max(h.peak, m.HeapAlloc-min(h.base, m.HeapAlloc))
	}
	n, err := h.r.Read(b)
	h.n += int64(n)
	return n, err
}

// endless repeats a text until size.
func endless(text string, size int64) io.Reader {
	return io.LimitReader(&repeater{text: []byte(text)}, size/int64(len(text))*int64(len(text)))
}

type repeater struct {
	text []byte
	at   int
}

func (r *repeater) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		c := copy(b[n:], r.text[r.at:])
		n += c
		r.at = (r.at + c) % len(r.text)
	}
	return n, nil
}

// FuzzRead feeds the recogniser, and through it every reader.
func FuzzRead(f *testing.F) { fuzzReader(f, "", "x") }

// One target per reader, seeded with its samples.
func FuzzTRTLLM(f *testing.F)       { fuzzReader(f, "trtllm", "x") }
func FuzzBenchServing(f *testing.F) { fuzzReader(f, "bench-serving", "x") }
func FuzzVLLM(f *testing.F)         { fuzzReader(f, "vllm", "x") }
func FuzzSGLang(f *testing.F)       { fuzzReader(f, "sglang", "x") }
func FuzzAIPerf(f *testing.F)       { fuzzReader(f, "aiperf", "x") }
func FuzzPerfCSV(f *testing.F)      { fuzzReader(f, "csv", "x") }
func FuzzLMEval(f *testing.F)       { fuzzReader(f, "lm-eval", "x") }
func FuzzGenericJSON(f *testing.F)  { fuzzReader(f, "generic", "mybench_1.json") }
func FuzzGenericItems(f *testing.F) { fuzzReader(f, "generic", "guidellm.json") }
func FuzzGenericCSV(f *testing.F)   { fuzzReader(f, "generic", "sweep.csv") }

func fuzzReader(f *testing.F, folder, name string) {
	for _, path := range sampleFiles(f) {
		if strings.HasPrefix(path, filepath.Join(samples, folder)) {
			data, err := os.ReadFile(path)
			require.NoError(f, err)
			f.Add(data)
		}
	}
	rd := ownFormats(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		results, err := rd.Read(bytes.NewReader(data), name)
		checkResults(t, rd, results)
		require.True(t, err != nil || len(results) > 0, "neither results nor an error")
		again, err2 := rd.Read(iotestOneByte{bytes.NewReader(data)}, name)
		require.Equal(t, describe(results, err), describe(again, err2), "the result must not depend on how the file is read")
		Combine(results)
	})
}

// iotestOneByte yields a byte at a time.
type iotestOneByte struct{ r io.Reader }

func (o iotestOneByte) Read(b []byte) (int, error) { return o.r.Read(b[:min(1, len(b))]) }

// checkResults is what must hold of any result, whatever the input.
func checkResults(t *testing.T, rd Reader, results []Result) {
	t.Helper()
	for _, r := range results {
		require.NotEmpty(t, r.Format)
		seen := map[string]bool{}
		for _, s := range r.Samples {
			m, ok := rd.Metrics.Lookup(s.Metric)
			require.True(t, ok, s.Metric)
			require.NotEmpty(t, m.Unit)
			require.False(t, s.Value != s.Value || s.Value-s.Value != 0, "%s = %v", s.Metric, s.Value) //nolint:gocritic // finite
			require.False(t, seen[s.Metric], "%s twice", s.Metric)
			seen[s.Metric] = true
		}
		for _, n := range []*int64{r.Requested, r.Completed, r.Failed, r.InputTokens, r.OutputTokens} {
			require.True(t, n == nil || *n >= 0)
		}
	}
}

// FuzzSteps holds the fast scanner of generation server logs against the parser
// of any layout, line by line.
func FuzzSteps(f *testing.F) {
	data, err := os.ReadFile(filepath.Join(samples, "gen-server/gen_server_0.log"))
	require.NoError(f, err)
	f.Add(data)
	f.Add([]byte(iterLine(7, 0, 0, "7.5ms", "4") + iterLine(8, 0, 1, "900.25ms", "4") + iterLine(9, 1, 1, "N/A", "4")))
	f.Fuzz(func(t *testing.T, data []byte) {
		data = bytes.ReplaceAll(data, []byte{'\r'}, []byte{' '})
		var fast, slow stepRule
		_, err := scanSteps(bytes.NewReader(data), false, fast.add)
		require.NoError(t, err)
		for i, line := range bytes.Split(data, []byte{'\n'}) {
			if !bytes.Contains(line, []byte(wordStep)) {
				continue
			}
			s := parseAny(line)
			s.line = i + 1
			slow.add(s)
			// Usual lines say the number of tokens once; of two the parsers need
			// not take the same.
			if usual, ok := parseUsual(line); ok && bytes.Count(line, []byte(wordTokens)) == 1 {
				usual.line = s.line
				require.Equal(t, s, usual)
			} else if ok {
				t.Skip()
			}
		}
		a, errA := fast.result()
		b, errB := slow.result()
		require.Equal(t, errA, errB)
		require.Equal(t, b, a)
	})
}

func BenchmarkReadText(b *testing.B) { benchmarkRead(b, "trtllm/two-clients.log") }
func BenchmarkReadJSON(b *testing.B) { benchmarkRead(b, "trtllm/detailed-goodput-energy.json") }
func BenchmarkReadCSV(b *testing.B)  { benchmarkRead(b, "csv/perf_script_test_results.csv") }

func benchmarkRead(b *testing.B, path string) {
	data, err := os.ReadFile(filepath.Join(samples, path))
	require.NoError(b, err)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		_, err := Read(bytes.NewReader(data), path)
		require.NoError(b, err)
	}
}

func BenchmarkSteps(b *testing.B) {
	log := strings.Repeat(iterLine(7, 0, 512, "7.326848030090332ms", "2048"), 100_000)
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		var rule stepRule
		_, err := scanSteps(strings.NewReader(log), false, rule.add)
		require.NoError(b, err)
	}
}

func BenchmarkReadDetails(b *testing.B) {
	doc := `{"duration": 1, "completed": 1, "output_throughput": 1, "itls": [[0.1` + strings.Repeat(", 0.012345678901234", 200_000) + `]], "generated_texts": ["` + strings.Repeat("lorem ipsum\\n", 200_000) + `"]}`
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		_, err := Read(strings.NewReader(doc), "x")
		require.NoError(b, err)
	}
}

// A client that repeats itself for gigabytes: the tables between the noise.
func BenchmarkReadNoise(b *testing.B) {
	noise := strings.Repeat("INFO:     10.0.0.7:51234 - \"POST /v1/completions HTTP/1.1\" 200 OK\n", 100_000) + trtTable
	b.SetBytes(int64(len(noise)))
	for b.Loop() {
		_, err := Read(strings.NewReader(noise), "x")
		require.NoError(b, err)
	}
}
