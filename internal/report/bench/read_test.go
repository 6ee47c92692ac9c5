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

const samples = "../../../testdata/bench"

func TestRecognition(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]bool{
		`{"a": 1}`: true, "\n\t {}": true, "[{}]": true, "[[1]]": true, "": false, "[TRT-LLM] [I] x": false, "[12:00:01] x": false,
		"{not json": false, "Namespace(a={})": false, "[[TRT-LLM] x": false,
	} {
		require.Equal(t, want, jsonStart.MatchString(content), content)
	}
}

func TestByteOrderMarkAndForeignFiles(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(samples, "trtllm/nan.json"))
	require.NoError(t, err)
	got, err := Reader{}.Read(strings.NewReader("\xef\xbb\xbf"+string(data)), "x")
	require.NoError(t, err)
	require.Len(t, got, 1)
	for _, foreign := range []string{"", "\n", "{}", "[]", `{"duration": 1}`, `"text"`, "hello", "\x00\x01\x02", "a,b\n1,2\n", "|a|b|\n|1|2|\n"} {
		_, err := Reader{}.Read(strings.NewReader(foreign), "x")
		require.ErrorIs(t, err, ErrUnrecognised, "%q", foreign)
	}
}

func TestReadErrorsOfTheStreamAreReported(t *testing.T) {
	t.Parallel()
	broken := errors.New("stale file handle")
	for _, start := range []string{"", "{\"duration\": 1,", "Namespace(\n", "network_name,perf_metric,metric_type,test_name\n1,2,3,4\n"} {
		_, err := Reader{}.Read(io.MultiReader(strings.NewReader(start), errReader{broken}), "x.log")
		require.ErrorIs(t, err, broken, "%q", start)
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 2*peekSize+17)
	var got []string
	err := eachLine(bufio.NewReaderSize(strings.NewReader("a\n\nb\rc\r\n"+long+"\nlast"), peekSize), func(text []byte, number int, torn bool) {
		said := string(text)
		if len(said) > 100 {
			said = fmt.Sprintf("%d bytes", len(said))
		}
		got = append(got, fmt.Sprintf("%d:%s", number, said))
		require.Equal(t, said == "last", torn)
	})
	require.NoError(t, err)
	require.Equal(t, []string{"1:a", "2:", "3:b", "3:c", fmt.Sprintf("4:%d bytes", peekSize), "5:last"}, got)
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
		"{\"a\": 1,\n\"b\" 2}": "x:2: not JSON: invalid character '2' after object key",
		"{\"a\": 1\n\"b\": 2}": "x:2: not JSON: invalid character '\"' after object key:value pair",
		"{\n\n\"a\": [1 2]}":   "x:3: not JSON: invalid character '2' after array element",
		"{\"a\": \"\\q\"}":     "x:1: not JSON: invalid character 'q' in string escape code",
		"{\"a\": \"\\u12g4\"}": "invalid character 'g' in \\u hexadecimal character escape",
		"{\"a\": 12..5}":       "x:1: not JSON: invalid character '.' after decimal point in numeric literal",
		"{\"a\": \n1NaN}":      "not JSON: invalid character 'N' after object key:value pair",
		"{\"a\": 1":            "x:1: the file ends inside a JSON value",
		"{\"a\": \"tex":        "half-written",
		"[{}{}]":               "after array element",
		"{\"a\": " + strings.Repeat("1", 600) + "}":                                                 "a number or word of more than 512 bytes is not a JSON value",
		"{\"a\": " + strings.Repeat(`{"a": `, 200) + "1":                                            "nested deeper than 100",
		`{"a": {` + strings.Repeat(`"k": "`+strings.Repeat("x", 4000)+`",`+"\n", 9000) + `"z": 1}}`: "values or 32 MB in one document",
	} {
		_, err := Reader{Generic: []Generic{{Files: "x", Format: "json"}}}.Read(strings.NewReader(content), "x")
		require.Error(t, err, "%.100q", content)
		require.Contains(t, ProblemOf("x", err).String(), want, "%.100q", content)
	}
}

// What a hostile file holds is bounded, and told.
func TestBoundedResults(t *testing.T) {
	t.Parallel()
	const many = 10_500
	rows, tables, scores := strings.Builder{}, strings.Builder{}, strings.Builder{}
	rows.WriteString("test_name,perf_metric,metric_type\n")
	scores.WriteString("|Tasks|Metric|   |Value|\n")
	for i := range many {
		fmt.Fprintf(&rows, "t%d,1,TOKEN_THROUGHPUT\n", i)
		tables.WriteString("==== Serving Benchmark Result ====\n")
		fmt.Fprintf(&scores, "|t%d|acc|↑|0.5|\n", i)
	}
	for name, text := range map[string]string{"rows": rows.String(), "tables": tables.String()} {
		got, err := Reader{}.Read(strings.NewReader(text), "x")
		require.ErrorContains(t, err, "more than 10000 results", name)
		require.Len(t, got, 10_000, name)
	}
	got, err := Reader{}.Read(strings.NewReader(scores.String()), "x")
	require.NoError(t, err)
	require.Contains(t, fmt.Sprint(got[0].Problems), "more than 10000 scores")
	got, err = Reader{}.Read(strings.NewReader("==== Serving Benchmark Result ====\n"+strings.Repeat("!FAILED REQUESTS!\n", many)), "x")
	require.NoError(t, err)
	require.Len(t, got[0].Problems, 100)
}

// lm_eval's table says of how many samples it is, by the line before it.
func TestLimitOfATable(t *testing.T) {
	t.Parallel()
	const header, table = "local-completions (model=x), gen_kwargs: (None), limit: %s, num_fewshot: None, batch_size: 1\n",
		"|Tasks|Version|Filter|n-shot|Metric|   |Value|   |Stderr|\n|gsm8k|3|none|5|exact_match|↑  |0.9454|±  |0.0063|\n"
	for text, want := range map[string]Score{
		table:                               {},
		fmt.Sprintf(header, "None") + table: {Limited: "None"},
		fmt.Sprintf(header, "10.0") + table: {Limited: "10.0", Samples: 10},
		fmt.Sprintf(header, "0.1") + table:  {Limited: "0.1"},
		// The limit is that of each task, so that nobody knows how many samples a group has: not all.
		fmt.Sprintf(header, "10.0") + table + "| - gsm8k_cot|3|none|5|acc|↑|0.5|±|0.1|\n":                                {Limited: "10.0"},
		fmt.Sprintf(header, "10.0") + table + "|Groups|Version|Metric|   |Value|\n|mmlu|2|acc|↑|0.5|\n":                  {Limited: "10.0"},
		fmt.Sprintf(header, "10.0") + table + fmt.Sprintf(header, "20") + strings.ReplaceAll(table, "|gsm8k|", "| - x|"): {Limited: "10.0", Samples: 10},
		`{"results": {"mmlu": {"acc,none": 0.5}}, "versions": {}, "config": {"limit": 10.0}}`:                            {Limited: "10"},
		`{"results": {"mmlu": {"acc,none": 0.5}}, "versions": {}, "config": {"limit": null}}`:                            {Limited: "None"},
		`{"results": {"mmlu": {"acc,none": 0.5}}, "versions": {}}`:                                                       {},
	} {
		got, err := Reader{}.Read(strings.NewReader(text), "x")
		require.NoError(t, err)
		require.Equal(t, want, Score{Limited: got[0].Accuracy[0].Limited, Samples: got[0].Accuracy[0].Samples}, text)
	}
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
			got, err := Reader{}.Read(watch, "x")
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

func BenchmarkReadText(b *testing.B) { benchmarkRead(b, "trtllm/two-clients.log") }

func BenchmarkReadJSON(b *testing.B) { benchmarkRead(b, "trtllm/detailed-goodput-energy.json") }

func BenchmarkReadCSV(b *testing.B) { benchmarkRead(b, "csv/perf_script_test_results.csv") }

func benchmarkRead(b *testing.B, path string) {
	data, err := os.ReadFile(filepath.Join(samples, path))
	require.NoError(b, err)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		_, err := Reader{}.Read(bytes.NewReader(data), path)
		require.NoError(b, err)
	}
}

func BenchmarkReadDetails(b *testing.B) {
	doc := `{"duration": 1, "completed": 1, "output_throughput": 1, "itls": [[0.1` + strings.Repeat(", 0.012345678901234", 200_000) + `]], "generated_texts": ["` + strings.Repeat("lorem ipsum\\n", 200_000) + `"]}`
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		_, err := Reader{}.Read(strings.NewReader(doc), "x")
		require.NoError(b, err)
	}
}

// A client that repeats itself for gigabytes: the tables between the noise.
func BenchmarkReadNoise(b *testing.B) {
	noise := strings.Repeat("INFO:     10.0.0.7:51234 - \"POST /v1/completions HTTP/1.1\" 200 OK\n", 100_000) + trtTable
	b.SetBytes(int64(len(noise)))
	for b.Loop() {
		_, err := Reader{}.Read(strings.NewReader(noise), "x")
		require.NoError(b, err)
	}
}
