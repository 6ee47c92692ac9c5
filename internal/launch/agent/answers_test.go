package agent

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// paired makes of a plan a session of two builds whose runs are one short task each.
func paired(wait string) func(*rundir.Plan) {
	return func(p *rundir.Plan) {
		task := []rundir.RolePlan{{Name: "TASK", Kind: rundir.KindTask, Slice: []rundir.NodeShare{{Node: 0, Tasks: 1}}}}
		p.Builds = []rundir.BuildPlan{{Name: rundir.BaseBuild, Roles: task}, {Name: rundir.HeadBuild, Roles: task}}
		p.Drain = rundir.DrainRule{Role: "TASK"}
		p.Pairs = &rundir.PairPlan{MinPairs: 4, MaxPairs: 4, MaxAgain: 2, OwnFailures: 3, AnswerWait: dur(wait)}
		p.Runs = rundir.SessionRuns(*p.Pairs)
	}
}

// made is the runs of a session in short, with ! where one did not pass.
func made(rec rundir.AgentRecord) string {
	var out []string
	for _, e := range rec.Runs {
		text := map[string]string{rundir.BaseBuild: "a", rundir.HeadBuild: "B"}[e.Run.Build] + string(rune('0'+e.Run.Pair))
		if e.Outcome != rundir.OutcomePassed {
			text += "!"
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

// answering writes what the driver would say, once the runs after which it does have ended.
func answering(answers ...rundir.Answer) func(*testing.T, rundir.AttemptDir) {
	return func(t *testing.T, dir rundir.AttemptDir) {
		t.Helper()
		for _, a := range answers {
			require.NoError(t, rundir.WriteJSON(dir.AnswerFile(a.After), a))
		}
	}
}

// failing makes some runs fail, by their index.
func failing(dir rundir.AttemptDir, runs ...int) error {
	for _, k := range runs {
		if err := rundir.WriteFile(dir.Run(k).RoleScript("TASK"), []byte("exit 3\n"), rundir.ExecMode); err != nil {
			return err
		}
	}
	return nil
}

func TestSession(t *testing.T) {
	t.Parallel()
	stop := rundir.Answer{After: 7, Do: rundir.DoStop, Pair: 3, Why: "3 pairs: seen enough"}
	tests := []struct {
		name    string
		fails   []int
		answers []rundir.Answer
		runs    string
		outcome rundir.Outcome
		reason  string
		shows   int // index of the run that the record shows
	}{
		{
			name: "nobody answers: to the last pair", runs: "a0 B0 a1 B1 B2 a2 a3 B3 B4 a4",
			outcome: rundir.OutcomePassed, reason: "the session ended after 4 pairs: all 4 pairs were measured", shows: 8,
		},
		{
			name: "a crash ends its run alone, its pair is measured again, and the driver stops it", fails: []int{5}, answers: []rundir.Answer{stop},
			runs: "a0 B0 a1 B1 B2 a2! B2 a2 a3 B3", outcome: rundir.OutcomePassed, reason: "decided: 3 pairs: seen enough", shows: 7,
		},
		{
			name: "head fails by itself", fails: []int{3, 11, 13}, runs: "a0 B0 a1 B1! a1 B1! a1 B1!",
			outcome: rundir.OutcomeTestFailed, reason: "head failed 3 times in a row and base did not: run 13 (head): [TASK] exit 3", shows: 13,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := runLocal(t, scenario{children: map[string]string{"TASK": "exit 0\n"}, edit: paired("0s"), prepare: func(t *testing.T, dir rundir.AttemptDir) {
				answering(tt.answers...)(t, dir)
				require.NoError(t, failing(dir, tt.fails...))
			}})
			require.NoError(t, e.err, e.stdout)
			require.Equal(t, tt.runs, made(e.rec), e.stdout)
			require.Equal(t, tt.outcome, e.rec.End.Outcome)
			require.Contains(t, e.rec.End.Reason, tt.reason)
			require.Equal(t, tt.shows, e.rec.Run.Index)
			require.Equal(t, rundir.PhaseDone, e.rec.Phase)
			for _, r := range e.rec.Runs {
				var rec rundir.RunRecord
				require.NoError(t, rundir.ReadJSON(e.dir.Run(r.Run.Index).RecordFile(), &rec))
				require.Equal(t, r.Run, rec.Run)
				require.Equal(t, r.Outcome, rec.End.Outcome)
			}
		})
	}
}

// A build whose install step fails is not run without it: the next run of the build installs again. It is head's own
// where base's passes, and as long as nothing else can install the machine's; a step that succeeds at last is not made
// again.
func TestInstallThatFailsInASession(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, install, base, runs string
		times                     int
		outcome                   rundir.Outcome
		class                     blame.Class
	}{
		{"every time", "exit 4", "x", "a0 B0! a1 B1! a1 B1! a1 B1!", 4, rundir.OutcomeTestFailed, blame.Test},
		{"every time, and of the machine's fault", "echo 'No space left on device'; exit 4", "x", "a0 B0! a1 B1! a1 B1! a1 B1!", 4, rundir.OutcomeInfra, blame.Infra},
		{"every time, and base has none", "exit 4", "", "a0 B0! a1 B1! a1 B1! a1 B1!", 4, rundir.OutcomeInfra, blame.Infra},
		{"at first", "[ $(wc -l <times) -gt 2 ]", "x", "a0 B0! a1 B1! a1 B1 B2 a2 a3 B3 B4 a4", 3, rundir.OutcomePassed, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := runLocal(t, scenario{
				children: map[string]string{"TASK": "exit 0\n"},
				edit: func(p *rundir.Plan) {
					paired("0s")(p)
					p.Builds[0].Install, p.Builds[1].Install = tt.base, "x"
				},
				prepare: func(t *testing.T, dir rundir.AttemptDir) {
					t.Helper()
					text := "cd " + string(dir) + "; echo >>times; " + tt.install + "\n"
					require.NoError(t, rundir.WriteFile(filepath.Join(string(dir), "install.head.sh"), []byte(text), rundir.ExecMode))
					require.NoError(t, rundir.WriteFile(filepath.Join(string(dir), "install.base.sh"), nil, rundir.ExecMode))
				},
			})
			require.NoError(t, e.err, e.stdout)
			require.Equal(t, tt.runs, made(e.rec), e.stdout)
			require.Equal(t, tt.outcome, e.rec.End.Outcome)
			if tt.class != "" {
				require.Equal(t, string(tt.class), e.rec.End.Finding.Class)
				require.Equal(t, tt.class == blame.Test, e.rec.End.Finding.BadNodes == nil)
			}
			times, err := os.ReadFile(filepath.Join(string(e.dir), "times"))
			require.NoError(t, err)
			require.Len(t, times, tt.times)
		})
	}
}

// The agent waits for an answer no longer than it is told to, gives signs of life
// meanwhile, and is ended by a signal there as anywhere else.
func TestASignalWhileTheAgentWaitsForAnAnswer(t *testing.T) {
	t.Parallel()
	signals := make(chan os.Signal, 1)
	e := runLocal(t, scenario{
		children: map[string]string{"TASK": "exit 0\n"}, edit: paired("1h"), signals: signals,
		prepare: func(t *testing.T, dir rundir.AttemptDir) {
			t.Helper()
			go func() {
				var ended, later rundir.AgentRecord
				for t.Context().Err() == nil && (len(ended.Runs) < 4 || !later.Heartbeat.After(ended.Heartbeat)) {
					if len(ended.Runs) < 4 {
						_ = rundir.ReadJSON(dir.AgentFile(), &ended)
					}
					_ = rundir.ReadJSON(dir.AgentFile(), &later)
					time.Sleep(10 * time.Millisecond)
				}
				signals <- syscall.SIGTERM
			}()
		},
	})
	require.NoError(t, e.err)
	require.Equal(t, "a0 B0 a1 B1", made(e.rec))
	require.Equal(t, rundir.OutcomeCancelled, e.rec.End.Outcome)
	require.Less(t, e.took, 3*soon)
}
