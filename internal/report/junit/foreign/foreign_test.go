package foreign

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
)

// converted reads a foreign text by way of JUnit.
func converted(t *testing.T, in string) (junit.File, []junit.Case, []junit.Suite, error) {
	t.Helper()
	var out bytes.Buffer
	failed := Convert(Detect([]byte(in)), strings.NewReader(in), &out)
	var cases []junit.Case
	var suites []junit.Suite
	f, err := junit.Read(&out, "x", junit.ReadOptions{}, junit.Visitor{
		Case:  func(c *junit.Case) error { cases = append(cases, *c); return nil },
		Suite: func(s *junit.Suite) error { suites = append(suites, *s); return nil },
	})
	if failed == nil {
		require.NoError(t, err)
	}
	return f, cases, suites, failed
}

func TestDetect(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Format{
		"":                                None,
		"<testsuite/>":                    None,
		"plain text":                      None,
		"{}":                              None,
		"PASS: nothing of Go":             None,
		"=== RUN   TestA\n":               GoTest,
		"go: downloading x\n=== RUN   T":  GoTest,
		"ok  \texample.com/p\t0.1s\n":     GoTest,
		`{"Time":"x","Action":"start"}`:   GoJSON,
		"\n {\"results\":{\"tests\":[]}}": CTRF,
		`{"reportFormat":"CTRF","spec":1`: CTRF,
		"<!-- === RUN -->\n<testsuite/>":  None,
	} {
		require.Equal(t, want, Detect([]byte(in)), in)
	}
}

func TestGoTest(t *testing.T) {
	t.Parallel()
	const in = "=== RUN   TestA\n--- PASS: TestA (0.25s)\n=== RUN   TestB\n    b_test.go:3: boom\n--- FAIL: TestB (0.01s)\n" +
		"=== RUN   TestC\n    c_test.go:1: later\n--- SKIP: TestC (0.00s)\n=== RUN   TestD\npanic: gone\n\ngoroutine 1 [running]:\nFAIL\texample.com/p\t0.012s\n" +
		"# example.com/q\nq.go:1:1: syntax error\nFAIL\texample.com/q [build failed]\n"
	f, cases, suites, err := converted(t, in)
	require.NoError(t, err)
	require.Equal(t, "example.com/p", suites[0].Name)
	require.Equal(t, 250*time.Millisecond, cases[0].Time)
	require.Equal(t, junit.Passed, cases[0].Status())
	require.Equal(t, junit.Failed, cases[1].Status())
	require.Contains(t, cases[1].Results[0].Text, "boom")
	require.Equal(t, junit.Skipped, cases[2].Status())
	require.True(t, cases[3].Status().Red(), "begun and not ended")
	require.GreaterOrEqual(t, f.Counts.Red(), 3, "a package that does not build is red")
	require.Empty(t, suites[0].Attr("timestamp"), "the time of reading says nothing")
	var again bytes.Buffer
	require.NoError(t, Convert(GoTest, strings.NewReader(in), &again))
	var first bytes.Buffer
	require.NoError(t, Convert(GoTest, strings.NewReader(in), &first))
	require.Equal(t, first.String(), again.String())
}

func TestGoJSON(t *testing.T) {
	t.Parallel()
	_, cases, _, err := converted(t, `{"Action":"run","Package":"p","Test":"TestC"}
{"Action":"output","Package":"p","Test":"TestC","Output":"=== RUN   TestC\n"}
{"Action":"output","Package":"p","Test":"TestC","Output":"--- PASS: TestC (0.00s)\n"}
{"Action":"run","Package":"p","Test":"TestD"}
{"Action":"output","Package":"p","Test":"TestD","Output":"=== RUN   TestD\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}
`)
	require.NoError(t, err)
	require.Len(t, cases, 2)
	require.Equal(t, junit.Passed, cases[0].Status())
	require.True(t, cases[1].Status().Red(), "begun and not ended")
}

// TestGoCutOff: a package that has begun and not ended has no result, whatever its tests did so far; nor has one that
// failed and does not say why. What is whole stays as it is.
func TestGoCutOff(t *testing.T) {
	t.Parallel()
	const (
		start = `{"Action":"start","Package":"p"}` + "\n"
		testA = `{"Action":"run","Package":"p","Test":"TestA"}` + "\n" +
			`{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}` + "\n" +
			`{"Action":"output","Package":"p","Test":"TestA","Output":"--- PASS: TestA (0.00s)\n"}` + "\n" +
			`{"Action":"pass","Package":"p","Test":"TestA"}` + "\n"
		good    = `{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}` + "\n" + `{"Action":"pass","Package":"p"}` + "\n"
		startQ  = `{"Action":"start","Package":"q"}` + "\n"
		skipQ   = `{"Action":"output","Package":"q","Output":"?   \tq\t[no test files]\n"}` + "\n" + `{"Action":"skip","Package":"q"}` + "\n"
		failedP = `{"Action":"fail","Package":"p"}` + "\n"
		lostB   = `{"Action":"run","Package":"p","Test":"TestB"}` + "\n" + `{"Action":"fail","Package":"p","Test":"TestB"}` + "\n" // its lines are lost
		redB    = `{"Action":"output","Package":"p","Test":"TestB","Output":"=== RUN   TestB\n"}` + "\n" +
			`{"Action":"output","Package":"p","Test":"TestB","Output":"--- FAIL: TestB (0.00s)\n"}` + "\n"
		saysP  = `{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}` + "\n"
		buildQ = `{"ImportPath":"q","Action":"build-output","Output":"# q\n"}` + "\n" + `{"ImportPath":"q","Action":"build-fail"}` + "\n"
		badQ   = `{"Action":"output","Package":"q","Output":"FAIL\tq [build failed]\n"}` + "\n" + `{"Action":"fail","Package":"q","FailedBuild":"q"}` + "\n"
		ran    = "=== RUN   TestA\n--- PASS: TestA (0.00s)\n"
	)
	for in, want := range map[string]int{
		start + testA + good:                        0,
		start + testA + good + startQ:               1,
		start + testA + good + startQ + skipQ:       0,
		start + testA + good + start + testA + good: 0, // twice
		start + testA + start + testA + good:        1,
		start + startQ + testA:                      2,
		testA + good:                                0, // before Go 1.20
		testA:                                       1,
		start + testA + failedP:                     1,
		start + testA + saysP + failedP:             1, // by go-junit-report
		start + testA + lostB + failedP:             1,
		start + testA + redB + failedP:              2, // whose TestB is, no line says
		start + testA + redB + lostB + failedP:      2,
		start + testA + redB + saysP + failedP:      1,
		start + testA + lostB + saysP + failedP:     1,
		start + startQ + redB + saysP + failedP + `{"Action":"fail","Package":"q"}`: 2,
		testA + good + buildQ + startQ + badQ:                                       1,
		ran:                                                                         1,
		ran + "PASS\nok  \tp\t0.1s\n" + ran:                                         1,
		ran + "PASS\n":                                                              0, // of a single program
		ran + "PASS\r\n":                                                            0,
		ran + "PASS":                                                                0,
		ran + "PASS\nok  \tp\t(cached)\n?   \tq\t[no test files]\n":                 0,
		ran + "PASS\ncoverage: 1.0% of statements\nbyeok  \tp\t0.1s\n":              0,
		ran + "no line end" + "ok: PASSED\n":                                        1,
		ran + "PASS\nFAIL\tp\t0.1s\nFAIL\n":                                         1, // by go-junit-report
		"=== RUN   TestA\nFAIL\tp\t0.1s\n":                                          1, // by go-junit-report
		"ok  \tp\t0.1s\n":                                                           0,
		ran + "goos: linux\nBenchmarkB-2 \t 2 \t 54.0 ns/op\nPASS\nok  \tp\t0.1s\n": 0,
	} {
		f, _, _, err := converted(t, in)
		require.NoError(t, err, in)
		require.Equal(t, want, f.Counts.Red(), in)
	}
	_, cases, _, err := converted(t, start+testA+good+startQ)
	require.NoError(t, err)
	require.Equal(t, []string{"q", "(package)"}, []string{cases[1].Classname, cases[1].Name})
	require.Equal(t, junit.Result{Status: junit.Errored, Type: "ci-disagg.results-truncated", Message: "the output ends before this package does"}, cases[1].Results[0])
}

func TestCTRF(t *testing.T) {
	t.Parallel()
	const head = `{"reportFormat":"CTRF","specVersion":"0.0.0","results":{"tool":{"name":"playwright"},"environment":{"a":[1]},
"summary":{"tests":6,"passed":2,"failed":1,"pending":1,"skipped":1,"other":1,"start":1700000000000,"stop":1700000002500},"tests":[
{"name":"ok","status":"passed","duration":1500,"suite":["a","b"],"filePath":"a.spec.ts","line":7,"stdout":["x","y"]},
{"name":"bad","status":"failed","duration":1,"suite":"s","message":"m","trace":"t","retryAttempts":[{"status":"failed","message":"first"}]},
{"name":"again","status":"passed","retries":2,"flaky":true,"retryAttempts":[{"status":"failed","message":"m1","trace":"t1","stdout":["o"]},{"status":"passed"}]},
{"name":"later","status":"pending"},{"name":"odd","status":"other"},`
	f, cases, suites, err := converted(t, head+`{"name":"told","status":"passed","flaky":true,"retries":1}]}}`)
	require.NoError(t, err)
	require.Equal(t, junit.Counts{Tests: 6, Failures: 1, Errors: 1, Skipped: 1}, f.Counts)
	require.Equal(t, "playwright", suites[0].Name)
	require.Equal(t, "2023-11-14T22:13:20Z", suites[0].Attr("timestamp"))
	require.Equal(t, "2.500000", suites[0].Attr("time"))
	require.Equal(t, "6", suites[0].Attr("tests"))
	require.Equal(t, "a.b", cases[0].Classname)
	require.Equal(t, []junit.Attr{{Name: "file", Value: "a.spec.ts"}, {Name: "line", Value: "7"}}, cases[0].Attrs)
	require.Equal(t, []string{"x\ny"}, cases[0].SystemOut)
	require.Equal(t, 1500*time.Millisecond, cases[0].Time)
	require.Equal(t, junit.Result{Status: junit.Failed, Message: "m", Text: "t"}, cases[1].Results[0])
	require.Equal(t, junit.RerunFailure, cases[1].Reruns[0].Kind)
	require.Equal(t, []junit.Rerun{{Kind: junit.FlakyFailure, Type: "attempt", Message: "m1", StackTrace: "t1", SystemOut: "o"}}, cases[2].Reruns)
	require.Equal(t, "ctrf.pending", cases[3].Results[0].Type)
	require.Equal(t, junit.Errored, cases[4].Status(), "no status that is known is no success")
	require.Len(t, cases[5].Reruns, 1)

	_, _, _, err = converted(t, head+`{"name":"cut","sta`)
	require.Error(t, err)

	_, _, suites, err = converted(t, `{"results":{"summary":{"tests":3,"failed":1},"tests":[]}}`)
	require.NoError(t, err)
	require.NotEmpty(t, suites[0].Contradiction)
	for _, broken := range []string{`{"results":[]}`, `{"results":{"tests":{}}}`, `{"results":{"tests":[{"name":1}]}}`, `{"results":`} {
		_, _, _, err := converted(t, broken)
		require.Error(t, err, broken)
	}
}

// FuzzConvert: whatever the input, what is written is JUnit.
func FuzzConvert(f *testing.F) {
	f.Add("=== RUN   TestA\n--- FAIL: TestA (0.00s)\n\x1b[31m\x00]]>")
	f.Add(`{"results":{"tests":[{"name":"a","status":"failed","retryAttempts":[{}]}]}}`)
	f.Add(`{"Action":"output","Output":"=== RUN   T\n"}`)
	f.Fuzz(func(t *testing.T, in string) {
		if Detect([]byte(in)) != None {
			_, _, _, _ = converted(t, in)
		}
	})
}
