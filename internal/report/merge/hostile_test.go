package merge

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
)

// hostileInput names the file that a copy of the test binary has to merge.
const hostileInput = "CI_DISAGG_TEST_MERGE"

// TestMergeOne is no test: it is what TestBounded starts, to see the memory of a
// process of its own.
func TestMergeOne(t *testing.T) {
	path := os.Getenv(hostileInput)
	if path == "" {
		return
	}
	debug.SetGCPercent(400) // as ci-disagg merge does: without a bound the peak is that of a collector that comes late
	debug.SetMemoryLimit(40 << 20)
	sum, err := Files(Input{Name: "m", Files: []File{{Path: path, Shown: "in.xml"}}}, path+".out", Options{NoCaps: true})
	require.NoError(t, err)
	fmt.Println(sum.Counts)
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	fmt.Println(string(status))
}

// peak is VmHWM of the status that TestMergeOne printed, in bytes. The resource
// usage that Linux reports of a child also counts the pages of the process that
// started it.
func peak(t *testing.T, out string) int64 {
	t.Helper()
	_, rest, ok := strings.Cut(out, "VmHWM:")
	require.True(t, ok, out)
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	require.NoError(t, err)
	return kb << 10
}

// TestBounded feeds what could cost memory or time without end to a process of
// its own. Limit: 64 MB, 100 bytes a case and twice the largest case. The race detector takes
// several times that: under it only results and time are checked.
func TestBounded(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	tests := map[string]struct {
		fill  func(w io.Writer) error
		limit int64 // bytes
		want  string
	}{
		"one large case": {func(w io.Writer) error {
			return pieces(w, `<testsuite name="s"><testcase name="t"><system-out>`, strings.Repeat("a line of a log &lt;1&gt;\n", 1000), 1000, "</system-out></testcase></testsuite>")
		}, 64*mb + 2*25*mb, "1 test: 1 passed, 0 failed, 0 errors, 0 skipped"},
		"many cases": {func(w io.Writer) error {
			bw := bufio.NewWriter(w)
			fmt.Fprint(bw, `<testsuite name="s">`)
			for i := range 300_000 {
				fmt.Fprintf(bw, `<testcase name="t%d" classname="c"/>`, i)
			}
			fmt.Fprint(bw, "</testsuite>")
			return bw.Flush()
		}, 64*mb + 300_000*100, "300000 tests: 300000 passed, 0 failed, 0 errors, 0 skipped"},
		"many cases of one name": {func(w io.Writer) error {
			return pieces(w, `<testsuite name="pytest">`, strings.Repeat(`<testcase name="t" classname="c"/><testcase name="u" classname="c"><failure/></testcase>`, 10), 10_000, "</testsuite>")
		}, 64*mb + 200_000*100, "200000 tests: 100000 passed, 100000 failed, 0 errors, 0 skipped"},
		"nested suites": {func(w io.Writer) error {
			return pieces(w, `<testsuite name="s"><testcase name="t"/>`, "<testsuite>", 10_000, "")
		}, 64 * mb, "2 tests: 1 passed, 0 failed, 1 error, 0 skipped"},
		"nested elements in a case": {func(w io.Writer) error {
			return pieces(w, `<testsuite name="s"><testcase name="t"/><testcase name="u">`, "<a>", 1_000_000, "")
		}, 64 * mb, "2 tests: 1 passed, 0 failed, 1 error, 0 skipped"},
		"many suites": {func(w io.Writer) error {
			return pieces(w, `<testsuites>`, `<testsuite name="pytest"><testcase name="t"/></testsuite>`, 50_000, "</testsuites>")
		}, 90 * mb, "50000 tests: 50000 passed, 0 failed, 0 errors, 0 skipped"},
		"tag without end": {func(w io.Writer) error {
			return pieces(w, `<testsuite name="s"><testcase name="t"/><testcase name="`, strings.Repeat("x", 1000), 20_000, "")
		}, 64*mb + 2*40*mb, "2 tests: 1 passed, 0 failed, 1 error, 0 skipped"},
		"document type bomb": {func(w io.Writer) error {
			var b strings.Builder
			b.WriteString(`<!DOCTYPE t [<!ENTITY a0 "ha">`)
			for i := range 30 {
				fmt.Fprintf(&b, `<!ENTITY a%d "&a%d;&a%d;">`, i+1, i, i)
			}
			b.WriteString(`]><testsuite name="s"><testcase name="t"><failure>&a30;</failure></testcase></testsuite>`)
			_, err := io.WriteString(w, b.String())
			return err
		}, 64 * mb, "1 test: 0 passed, 1 failed, 0 errors, 0 skipped"},
		"garbage": {func(w io.Writer) error {
			return pieces(w, "", strings.Repeat("\x00\xff<\"'>&;]]>", 100), 20_000, "")
		}, 64 * mb, "1 test: 0 passed, 0 failed, 1 error, 0 skipped"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "in.xml")
			f, err := os.Create(path)
			require.NoError(t, err)
			require.NoError(t, tt.fill(f))
			require.NoError(t, f.Close())

			cmd := exec.Command(os.Args[0], "-test.run=^TestMergeOne$", "-test.v")
			cmd.Env = append(os.Environ(), hostileInput+"="+path)
			began := time.Now()
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Contains(t, string(out), tt.want)
			require.Less(t, time.Since(began), 2*time.Minute)
			if !raceEnabled {
				require.Less(t, peak(t, string(out)), tt.limit)
			}
		})
	}
}

// pieces writes head, piece n times, and tail.
func pieces(w io.Writer, head, piece string, n int, tail string) error {
	if _, err := io.WriteString(w, head); err != nil {
		return err
	}
	for range n {
		if _, err := io.WriteString(w, piece); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, tail)
	return err
}

// TestEveryIllegalCharacter puts each character that XML forbids into every
// position of a case: nothing else changes, and the report is well-formed.
func TestEveryIllegalCharacter(t *testing.T) {
	t.Parallel()
	var illegal []string
	for b := range 0x20 {
		if b != '\t' && b != '\n' && b != '\r' {
			illegal = append(illegal, string(rune(b)), fmt.Sprintf("&#%d;", b))
		}
	}
	illegal = append(illegal, "\x7f", "\x80", "\xc3", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\uFFFE", "\uFFFF", "&#xD800;", "&#xFFFF;", "&#x110000;", "&#99999999999999999999;", "]]>", "\x1b[0m")
	var doc strings.Builder
	doc.WriteString(`<testsuite name="s">`)
	n := 0
	for i, x := range illegal {
		for p := range 7 {
			at := make([]any, 7)
			for j := range at {
				at[j] = ""
			}
			at[p] = x
			fmt.Fprintf(&doc, `<testcase name="n%d-%d%s" classname="c%s" custom="%s">`, append([]any{i, p}, at[:3]...)...)
			fmt.Fprintf(&doc, `<properties><property name="k" value="%s"/></properties><failure message="m%s">t%s</failure><system-out>%s</system-out></testcase>`, at[3:]...)
			n++
		}
	}
	doc.WriteString("</testsuite>")
	path := write(t, t.TempDir(), "in.xml", doc.String())
	for _, o := range []Options{{}, {NoCaps: true}} {
		sum, out := mergeFiles(t, o, true, path)
		require.Equal(t, junit.Counts{Tests: n, Failures: n}, sum.Counts)
		xmllint(t, out)
		goJUnitAgrees(t, out, sum.Counts)
	}
}
