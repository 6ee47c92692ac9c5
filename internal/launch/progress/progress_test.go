package progress

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/drive"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// screen plays the escape sequences of the table: up n lines, clear below.
func screen(t *testing.T, out string) []string {
	t.Helper()
	var lines []string
	for {
		before, rest, ok := strings.Cut(out, "\x1b[")
		lines = append(lines, strings.Split(strings.TrimSuffix(before, "\n"), "\n")...)
		if before == "" {
			lines = lines[:len(lines)-1]
		}
		if !ok {
			return lines
		}
		var n int
		_, err := fmt.Sscanf(rest, "%dA\x1b[J", &n)
		require.NoError(t, err)
		require.LessOrEqual(t, n, len(lines), "it would erase what is not its own")
		lines = lines[:len(lines)-n]
		out = rest[strings.Index(rest, "\x1b[J")+len("\x1b[J"):]
	}
}

func liveProgress(w *bytes.Buffer, cases int) *Progress {
	p := &Progress{
		Screen: Screen{
			W: w, Live: true, Now: func() time.Time { return time.Date(2026, 11, 21, 3, 3, 11, 0, time.UTC) },
			Size: func() (int, int) { return 100, 24 },
		},
		index: map[string]*liveCase{}, stop: make(chan struct{}),
	}
	for i := range cases {
		c := &liveCase{name: fmt.Sprintf("case-%d", i), state: rundir.CaseWaiting}
		p.cases = append(p.cases, c)
		p.index[fmt.Sprint("slug-", i)] = c
	}
	return p
}

// A job's last line in the text of its end is no command for a build server.
func TestProgressCommandsNobody(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	printUpdate(&out, drive.Update{Kind: drive.EndedNow, Case: "case", Text: "exit 1: ##vso[task.complete result=Succeeded;]"})
	require.NotContains(t, out.String(), "##vso")
}

func TestProgressTable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := liveProgress(&out, 40)
	say := func(i int, kind drive.UpdateKind, phase rundir.Phase, text string) {
		p.Update(drive.Update{
			At: time.Date(2026, 11, 21, 2, 3, 4, 0, time.UTC), Kind: kind, Case: fmt.Sprintf("t.py::t[case-%d]", i), Slug: fmt.Sprint("slug-", i),
			JobID: fmt.Sprint(100 + i), Phase: phase, Text: text, Outcome: map[bool]rundir.Outcome{true: rundir.OutcomePassed}[kind == drive.EndedNow],
		})
	}
	for i := range 30 {
		say(i, drive.Submitted, "", "job submitted")
	}
	require.Len(t, screen(t, out.String()), liveRows+1, "never more than fits")
	for i := range 29 {
		say(i, drive.EndedNow, "", "passed: every role ended well")
	}
	say(29, drive.PhaseNow, rundir.PhaseBenchmark, "phase benchmark")
	say(29, drive.Role, "", "GEN_0 ready \x1b[31m\n"+strings.Repeat("x", 300))
	lines := screen(t, out.String())
	require.Len(t, lines, 31)
	require.Equal(t, "02:03:04 case-0 job 100: passed: every role ended well", lines[0])
	require.Regexp(t, `^benchmark  1:00:07  129        case-29 +GEN_0 ready  \[31m x+…$`, lines[29])
	require.Equal(t, "29 passed, 10 waiting", lines[30])
	p.Close()
	require.Len(t, screen(t, out.String()), 29, "the table is gone, what ended is still there")
	for _, l := range lines {
		require.Less(t, len([]rune(l)), 100)
	}
}

// TestProgressTicks: the clocks go on while nothing changes, from when the state
// began and not from the last word about it.
func TestProgressTicks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := liveProgress(&out, 1)
		p.Now = time.Now
		p.ended.Go(func() { p.tick(time.Second, func() { p.redraw("") }) })
		p.Update(drive.Update{At: time.Now(), Kind: drive.PhaseNow, Slug: "slug-0", JobID: "7", Phase: rundir.PhaseReady})
		time.Sleep(59500 * time.Millisecond)
		p.Update(drive.Update{At: time.Now(), Kind: drive.Role, Slug: "slug-0", Text: "GEN_0 ready"})
		time.Sleep(65 * time.Second)
		p.mu.Lock()
		lines := screen(t, out.String())
		p.mu.Unlock()
		require.Len(t, lines, 1)
		require.Regexp(t, `^ready         2:04  7          case-0 +GEN_0 ready$`, lines[0])
		p.Close()
		require.Empty(t, screen(t, out.String()))
	})
	for d, want := range map[time.Duration]string{-time.Second: "0:00", 7 * time.Second: "0:07", 723 * time.Second: "12:03", 3*time.Hour + 59*time.Second: "3:00:59"} {
		require.Equal(t, want, clock(d))
	}
}

// TestProgressIsPlainWithoutATerminal: CI logs get no escape sequence.
func TestProgressIsPlainWithoutATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := New(Screen{W: &out, Now: time.Now}, rundir.Run{Cases: []rundir.CaseState{{ID: "t.py::t[a]", Slug: "a"}}})
	p.Update(drive.Update{At: time.Unix(0, 0), Case: "t.py::t[a]", Slug: "a", JobID: "7", Attempt: 2, Rep: 1, Text: "phase ready"})
	p.Close()
	require.Equal(t, "00:00:00 a rep 2 attempt 2 job 7: phase ready\n", out.String())
}

// A log has a line per phase and one per ten minutes without any, none per role.
func TestALogIsShort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		run := rundir.Run{}
		for _, slug := range []string{"a", "b", "c"} {
			run.Cases = append(run.Cases, rundir.CaseState{ID: "t.py::t[" + slug + "]", Slug: slug, State: rundir.CaseWaiting})
		}
		p := New(Screen{W: &out, Now: time.Now}, run)
		say := func(kind drive.UpdateKind, phase rundir.Phase, text string) {
			p.Update(drive.Update{At: time.Now(), Kind: kind, Case: "t.py::t[a]", Slug: "a", JobID: "7", Phase: phase, Text: text})
		}
		say(drive.Submitted, "", "job 7 submitted")
		say(drive.PhaseNow, rundir.PhaseBenchmark, "phase benchmark")
		say(drive.Role, "", "GEN_0 ready")
		time.Sleep(25*time.Minute + 30*time.Second)
		p.Close()
		require.Equal(t, []string{
			"00:00:00 a job 7: job 7 submitted", "00:00:00 a job 7: phase benchmark",
			"00:10:00 run: a benchmark for 10:00 (GEN_0 ready), 2 waiting", "00:20:00 run: a benchmark for 20:00 (GEN_0 ready), 2 waiting",
		}, strings.Split(strings.TrimSpace(out.String()), "\n"))
	})
}

// A log in colour must not colour the build's, nor a line of it look like one of ours.
func TestProgressLinesArePlain(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	printUpdate(&out, drive.Update{Case: "t.py::t[a\x1b[2Jb]", JobID: "7", Text: "test_failed: [GEN_0] exit 1: \x1b[31mE boom\u009b0m\n03:03:03 run: passed"})
	require.Equal(t, "00:00:00 a [2Jb job 7: test_failed: [GEN_0] exit 1:  [31mE boom 0m 03:03:03 run: passed\n", out.String())
}
