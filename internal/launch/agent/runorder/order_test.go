package runorder

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// session is a plan of so many pairs.
func session(pairs int) rundir.Plan {
	p := rundir.Plan{Pairs: &rundir.PairPlan{MaxPairs: pairs, MinPairs: 4, MaxAgain: 2, OwnFailures: 3}}
	p.Runs = rundir.SessionRuns(*p.Pairs)
	return p
}

// name is a run in short: a3 is base of pair 3, B1! head of pair 1 measured again.
func name(r rundir.RunRef) string {
	build := map[string]string{rundir.BaseBuild: "a", rundir.HeadBuild: "B"}[r.Build]
	if r.Warmup {
		return build + "w"
	}
	return build + fmt.Sprint(r.Pair) + strings.Repeat("!", r.Again)
}

// play does what the order says. fails are the runs that do not pass, answers what the
// driver says, by the name of the run after which it becomes visible: "stop", or
// "again a3" for the pair that ended with that run.
func play(t *testing.T, p rundir.Plan, fails string, answers map[string]string, each time.Duration) (runs, why string, o *Order) {
	t.Helper()
	now := time.Date(2026, 11, 1, 3, 0, 0, 0, time.UTC)
	o = New(p, now)
	index := map[string]int{}
	var made []string
	for {
		ref, ok := o.Next(now)
		if !ok {
			break
		}
		require.LessOrEqual(t, len(made), len(p.Runs), "it goes on for ever: %s", made)
		now = now.Add(each)
		end := rundir.RunEnd{Run: ref, At: now, Outcome: rundir.OutcomePassed}
		if strings.Contains(" "+fails+" ", " "+name(ref)+" ") {
			end.Outcome = rundir.OutcomeTestFailed
		}
		made = append(made, name(ref))
		index[name(ref)] = ref.Index
		o.Ended(end)
		if said := answers[name(ref)]; said != "" {
			do, of, _ := strings.Cut(said, " ")
			a := rundir.Answer{Do: do, After: ref.Index, Why: "so"}
			if of != "" {
				a.After = index[of]
			}
			o.Answered(a)
			o.Answered(rundir.Answer{Do: rundir.DoStop, After: a.After}) // a second one is none
		}
	}
	return strings.Join(made, " "), o.Why(), o
}

func TestOrderOfASession(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		fails   string
		answers map[string]string
		runs    string
		why     string
		head    string
	}{
		{name: "without any answer", runs: "aw Bw a1 B1 B2 a2 a3 B3 B4 a4", why: "all 4 pairs were measured"},
		{name: "told to stop", answers: map[string]string{"a2": "stop"}, runs: "aw Bw a1 B1 B2 a2", why: "decided: so"},
		{name: "told late, at the next border of a run", answers: map[string]string{"a3": "stop a2"}, runs: "aw Bw a1 B1 B2 a2 a3", why: "decided: so"},
		{name: "told to go on", answers: map[string]string{"B1": "go"}, runs: "aw Bw a1 B1 B2 a2 a3 B3 B4 a4", why: "all 4"},
		{name: "no measurement, says the driver", answers: map[string]string{"a2": "again"}, runs: "aw Bw a1 B1 B2 a2 B2! a2! a3 B3 B4 a4", why: "all 4"},
		{name: "it says so late", answers: map[string]string{"a3": "again a2"}, runs: "aw Bw a1 B1 B2 a2 a3 B3 B2! a2! B4 a4", why: "all 4"},
		{name: "of the last pair", answers: map[string]string{"a4": "again"}, runs: "aw Bw a1 B1 B2 a2 a3 B3 B4 a4 B4! a4!", why: "all 4"},
		{name: "a run failed: again without being told", fails: "B3", runs: "aw Bw a1 B1 B2 a2 a3 B3 a3! B3! B4 a4", why: "all 4"},
		{name: "once, although the driver says so as well", fails: "B3", answers: map[string]string{"B3": "again"}, runs: "aw Bw a1 B1 B2 a2 a3 B3 a3! B3! B4 a4", why: "all 4"},
		{name: "or late", fails: "B3", answers: map[string]string{"B3!": "again B3"}, runs: "aw Bw a1 B1 B2 a2 a3 B3 a3! B3! B4 a4", why: "all 4"},
		{name: "twice a session", fails: "B1 a3", runs: "aw Bw a1 B1 a1! B1! B2 a2 a3 B3 a3!! B3!! B4 a4", why: "all 4"},
		{name: "and no more", fails: "B1 a3 B4", runs: "aw Bw a1 B1 a1! B1! B2 a2 a3 B3 a3!! B3!! B4 a4", why: "2 pairs had to be measured again"},
		{name: "head fails by itself", fails: "B1 B1! B1!!", runs: "aw Bw a1 B1 a1! B1! a1!! B1!!", why: "head failed 3 times in a row and base did not", head: "B1!!"},
		{name: "both fail", fails: "a1 B1 a1! B1! a1!! B1!!", runs: "aw Bw a1 B1 a1! B1! a1!! B1!!", why: "2 pairs had to be"},
		{name: "base shares a failure of head", fails: "B1 a1! B1! B1!!", runs: "aw Bw a1 B1 a1! B1! a1!! B1!!", why: "2 pairs had to be"},
		{name: "a warm-up that fails is thrown away like any other", fails: "aw", answers: map[string]string{"B1": "stop"}, runs: "aw Bw a1 B1", why: "decided"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			runs, why, o := play(t, session(4), tt.fails, tt.answers, time.Minute)
			require.Equal(t, tt.runs, runs)
			require.Contains(t, why, tt.why)
			require.Equal(t, tt.head != "", o.HeadFailed() != nil)
			if tt.head != "" {
				require.Equal(t, tt.head, name(o.HeadFailed().Run))
			}
			require.Equal(t, strings.Contains(tt.fails, "1!!"), o.NoPair())
			_, ok := o.Next(time.Now())
			require.False(t, ok)
		})
	}
}

// No pair is begun that the time limit would cut: its end is that of the session, in
// order, with what there is.
func TestTheTimeLimitEndsASession(t *testing.T) {
	t.Parallel()
	p := session(10)
	p.Budgets.Job = rundir.Duration(61 * time.Minute)
	runs, why, _ := play(t, p, "", nil, 10*time.Minute)
	require.Equal(t, "aw Bw a1 B1 B2 a2", runs)
	require.Equal(t, "another pair takes 20m0s, and the time limit leaves 0s", why)
	p.Budgets.Job = 0
	runs, _, _ = play(t, p, "", nil, 10*time.Minute)
	require.Equal(t, 22, len(strings.Fields(runs)))
}

// An answer is waited for after a pair, and only then.
func TestAsking(t *testing.T) {
	t.Parallel()
	o := New(session(4), time.Time{})
	var asked []string
	for {
		ref, ok := o.Next(time.Time{})
		if !ok {
			break
		}
		o.Ended(rundir.RunEnd{Run: ref, Outcome: rundir.OutcomePassed})
		if after, ok := o.Asking(); ok {
			require.Equal(t, ref.Index, after)
			asked = append(asked, name(ref))
		}
	}
	require.Equal(t, []string{"B1", "a2", "B3", "a4"}, asked)
}

// Without pairs, runs follow each other.
func TestPlainRuns(t *testing.T) {
	t.Parallel()
	p := rundir.Plan{Runs: []rundir.RunRef{{Build: rundir.HeadBuild, Pair: 1}, {Index: 1, Build: rundir.HeadBuild, Pair: 2}}}
	p.Budgets.Job = 1
	runs, why, o := play(t, p, "B1", map[string]string{"B1": "stop"}, time.Hour)
	require.Equal(t, "B1 B2", runs)
	require.Equal(t, "every run was made", why)
	require.Nil(t, o.HeadFailed())
	_, asked := o.Asking()
	require.False(t, asked)
	require.Equal(t, 2, len(p.Runs))
}
