package drive

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/retry"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

var update = flag.Bool("update", false, "write the golden files")

// transcript is what a driver asked of Slurm and told its user, and when.
type transcript struct {
	*sim
	dir   string
	begun time.Time

	mu    sync.Mutex
	lines []string
	last  string // time of the last line
	n     int    // lines of that time
}

func (r *transcript) Run(ctx context.Context, c host.Cmd) (host.Result, error) {
	r.line("$ " + strings.Join(c.Argv, " "))
	if c.Argv[0] == "squeue" {
		time.Sleep(100 * time.Microsecond)
	}
	return r.sim.Run(ctx, c)
}

// Read comes last of what is asked at the same time, and squeue after what is submitted then: which is first would
// change when Slurm is asked again.
func (r *transcript) Read(ctx context.Context, most int64, paths ...string) (map[string][]byte, error) {
	time.Sleep(time.Millisecond)
	return r.sim.Read(ctx, most, paths...)
}

// line notes one line. Lines of the same instant are sorted: which of several goroutines comes first is nobody's
// matter.
func (r *transcript) line(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := fmt.Sprintf("%9.1f ", time.Since(r.begun).Seconds())
	if at != r.last {
		slices.Sort(r.lines[len(r.lines)-r.n:])
		r.last, r.n = at, 0
	}
	r.lines, r.n = append(r.lines, at+text), r.n+1
}

// text is the transcript without what differs from one run to the next; queries of the queue in a row are counted.
func (r *transcript) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.lines[len(r.lines)-r.n:])
	all := strings.Join(r.lines, "\n") + "\n"
	all = strings.ReplaceAll(all, r.dir, "RUN")
	for _, cut := range [][2]string{
		{`cid-[0-9a-f]{12}-`, "cid-TAG-"},
		{`(cid-TAG-\S*a\d+)-[0-9a-f]{8}`, "$1-RANDOM"},
		{`squeue -a --me -t all -o \S+`, "squeue"},
		{`,"due":"[a-z]+"`, ""}, // younger than the transcripts
		{`sacct -X -P -D -S (\S+) -o \S+`, "sacct -S $1"},
	} {
		all = regexp.MustCompile(cut[0]).ReplaceAllString(all, cut[1])
	}
	var out []string
	queries, first := 0, ""
	for l := range strings.Lines(all) {
		if strings.HasSuffix(l, "$ squeue\n") {
			if queries++; queries == 1 {
				first = strings.TrimSuffix(l, "\n")
			}
			continue
		}
		if queries > 0 {
			out = append(out, fmt.Sprintf("%s, %d in all\n", first, queries))
		}
		queries, out = 0, append(out, l)
	}
	return strings.Join(out, "")
}

// scenario is one way in which a run may go. The transcripts of the same scenarios were made by the scheduler that this
// one took the place of: what it does is the same, and when.
type scenario struct {
	cases  int
	set    func(*sim)
	opt    func(*Options)
	during func(r *transcript, dir rundir.Dir, cancel context.CancelCauseFunc) // runs beside the driver
	again  func(*Options)                                                      // a second driver takes the run up
}

// odd is a time at which nothing else happens.
const odd = 6*time.Minute + 1370*time.Millisecond

func minutes(n float64) func(int) time.Duration {
	return func(int) time.Duration { return time.Duration(n * float64(time.Minute)) }
}

// words gives Slurm's word by how long a job has run.
func words(list ...any) func(int, time.Duration) string {
	return func(_ int, ran time.Duration) string {
		word := ""
		for i := 0; i < len(list); i += 2 {
			if after, ok := list[i].(time.Duration); ok && ran >= after {
				word = fmt.Sprint(list[i+1])
			}
		}
		return word
	}
}

func scenarios() map[string]scenario {
	interrupt := func(after time.Duration) func(*transcript, rundir.Dir, context.CancelCauseFunc) {
		return func(_ *transcript, _ rundir.Dir, cancel context.CancelCauseFunc) {
			time.Sleep(after)
			cancel(&Interrupted{Signal: syscall.SIGTERM})
		}
	}
	ends := func(list ...string) func(*sim) {
		return func(s *sim) {
			s.run = minutes(10)
			s.end = func(n int) string { return list[min(n, len(list)-1)] }
		}
	}
	withRetry := func(o *Options) {
		o.Decide = retry.Policy{Max: 1, Backoff: rundir.Duration(time.Minute), Exclude: true}.Decide
	}
	return map[string]scenario{
		"pass":             {cases: 1},
		"one at a time":    {cases: 3, opt: func(o *Options) { o.MaxJobs = 1 }},
		"ends":             {cases: 5, set: ends("OUT_OF_MEMORY", "TIMEOUT", "NODE_FAIL", "FAILED", "COMPLETED")},
		"retried":          {cases: 2, set: ends("NODE_FAIL", "COMPLETED", "BOOT_FAIL", "COMPLETED"), opt: withRetry},
		"retries used up":  {cases: 1, set: ends("NODE_FAIL"), opt: withRetry},
		"suspended":        {cases: 1, set: func(s *sim) { s.word = words(5*time.Minute, "SUSPENDED") }, opt: withRetry},
		"preempted":        {cases: 1, set: func(s *sim) { s.word = words(5*time.Minute, "PREEMPTED") }},
		"requeued":         {cases: 1, set: func(s *sim) { s.word = words(5*time.Minute, "REQUEUED") }},
		"unknown word":     {cases: 1, set: func(s *sim) { s.word = words(5*time.Minute, "DREAMING") }},
		"queue budget":     {cases: 1, set: func(s *sim) { s.wait = minutes(60) }, opt: func(o *Options) { o.Plans[0].Budgets.Queue = rundir.Duration(10 * time.Minute) }},
		"no process":       {cases: 2, set: func(s *sim) { s.crowded = 2 }},
		"renamed":          {cases: 1, set: func(s *sim) { s.renames = true }},
		"renamed and lost": {cases: 1, set: func(s *sim) { s.renames, s.lost = true, 1 }},
		"munge is away":    {cases: 1, set: func(s *sim) { s.unsigned = 2 }},
		"answer lost":      {cases: 2, set: func(s *sim) { s.lost = 1 }},
		"left no job":      {cases: 1, set: func(s *sim) { s.unanswered = map[string]bool{"sbatch": true} }},
		"nobody knows":     {cases: 1, set: func(s *sim) { s.unanswered = map[string]bool{"sbatch": true, "sacct": true} }},
		"squeue never says": {cases: 1, set: func(s *sim) {
			s.lost, s.hang, s.away = 1, func() bool { return true }, func() bool { return true }
		}, opt: func(o *Options) { withRetry(o); o.Bounds.Blind = time.Hour }},
		"only the agent says": {cases: 1, set: func(s *sim) {
			s.lost, s.hang = 1, func() bool { return true }
		}, opt: withRetry},
		"squeue says late": {cases: 1, set: func(s *sim) {
			begun := time.Now()
			s.lost, s.hang = 1, func() bool { return time.Since(begun) < 11*time.Minute }
			s.away, s.unanswered = s.hang, map[string]bool{"scancel": true}
		}, opt: withRetry},
		"squeue is silent": {cases: 1, set: func(s *sim) {
			begun := time.Now()
			s.hang = func() bool { d := time.Since(begun); return d > 2*time.Minute && d < 12*time.Minute }
		}},
		"files are away": {cases: 1, set: func(s *sim) {
			begun := time.Now()
			s.away = func() bool { d := time.Since(begun); return d > 14*time.Minute && d < 25*time.Minute }
		}, opt: withRetry},
		"fail fast": {cases: 3, set: func(s *sim) {
			s.end = func(int) string { return "OUT_OF_MEMORY" }
			s.run = func(n int) time.Duration { return time.Duration(n+1) * 5 * time.Minute }
		}, opt: func(o *Options) { o.FailFast, o.MaxJobs = true, 2 }},
		"repeated":                  {cases: 1, opt: decideBy(retry.Decision{Action: retry.Repeat, Why: "repeat: looks slow", Exclude: []string{"gpu0"}}, retry.Decision{Action: retry.Again, Why: "retry: for the test", After: time.Minute})},
		"detached":                  {cases: 3, opt: func(o *Options) { o.Detach, o.MaxJobs = true, 2 }, again: func(o *Options) { o.Detach, o.MaxJobs = false, 0 }},
		"full":                      {cases: 2, set: others(2, 8*time.Minute), opt: func(o *Options) { o.Cluster = Cluster{Name: "x", MaxJobs: 3} }},
		"detached and full":         {cases: 2, set: others(3, 8*time.Minute), opt: func(o *Options) { o.Detach, o.Cluster = true, Cluster{Name: "x", MaxJobs: 3} }},
		"interrupted":               {cases: 3, opt: func(o *Options) { o.MaxJobs = 2 }, during: interrupt(odd), again: func(*Options) {}},
		"interrupted early":         {cases: 1, set: func(s *sim) { s.lost = 1 }, during: interrupt(2 * time.Second), again: func(*Options) {}},
		"interrupted without a job": {cases: 1, set: func(s *sim) { s.refused = 1 }, during: interrupt(2 * time.Second), again: func(*Options) {}},
		"stubborn":                  {cases: 1, set: func(s *sim) { s.unanswered = map[string]bool{"scancel": true} }, during: interrupt(odd)},
		"left": {cases: 2, during: func(_ *transcript, _ rundir.Dir, cancel context.CancelCauseFunc) {
			time.Sleep(odd)
			cancel(context.Canceled)
		}, again: func(*Options) {}},
		"cancelled": {cases: 2, opt: func(o *Options) { o.MaxJobs = 1 }, during: func(_ *transcript, dir rundir.Dir, _ context.CancelCauseFunc) {
			time.Sleep(odd)
			_ = rundir.WriteJSON(dir.CancelFile(), rundir.Cancel{At: time.Now(), Reason: "enough"})
		}},
		"cancelled by others": {cases: 1, opt: withRetry, during: func(r *transcript, _ rundir.Dir, _ context.CancelCauseFunc) {
			time.Sleep(odd)
			r.scancel([]string{"1"})
		}},
		"twins": {cases: 1, during: func(r *transcript, _ rundir.Dir, _ context.CancelCauseFunc) {
			time.Sleep(odd / 3)
			r.sim.mu.Lock()
			defer r.sim.mu.Unlock()
			twin := *r.jobs[0]
			twin.id, twin.submit = 2, time.Now()
			r.jobs = append(r.jobs, &twin)
		}},
		"run.json is away": {cases: 2, opt: func(o *Options) { o.MaxJobs = 1 }, during: func(_ *transcript, dir rundir.Dir, _ context.CancelCauseFunc) {
			time.Sleep(odd)
			_ = os.Rename(string(dir), string(dir)+".away")
			_ = os.WriteFile(string(dir), nil, 0o600)
			time.Sleep(35 * time.Second)
			_ = os.Remove(string(dir))
			_ = os.Rename(string(dir)+".away", string(dir))
		}, set: func(s *sim) { s.run = minutes(3.2) }},
	}
}

// decideBy answers with the decisions in turn, then with Done.
func decideBy(list ...retry.Decision) func(*Options) {
	return func(o *Options) {
		o.Decide = func(context.Context, retry.Ended) retry.Decision {
			if len(list) == 0 {
				return retry.Decision{Action: retry.Done}
			}
			next := list[0]
			list = list[1:]
			return next
		}
	}
}

// others are jobs of another run that end after so long.
func others(n int, d time.Duration) func(*sim) {
	return func(s *sim) {
		for i := range n {
			s.jobs = append(s.jobs, &simJob{id: i + 1, name: jobs.Name(rundir.Run{ID: "other"}, "x", 0, i), submit: time.Now(), script: "/other/job.sh"})
		}
		s.wait, s.run = minutes(0), func(int) time.Duration { return d }
	}
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	for name, sc := range scenarios() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := rundir.Dir(t.TempDir() + "/run")
			synctest.Test(t, func(t *testing.T) {
				got := play(t, sc, dir)
				golden := filepath.Join("testdata", "scenarios", strings.ReplaceAll(name, " ", "-")+".txt")
				if *update {
					require.NoError(t, rundir.WriteFile(golden, []byte(got), 0o644))
				}
				want, err := os.ReadFile(golden)
				require.NoError(t, err)
				require.Equal(t, string(want), got)
			})
		})
	}
}

func play(t *testing.T, sc scenario, dir rundir.Dir) string {
	t.Helper()
	r := &transcript{sim: newSim(), dir: string(dir), begun: time.Now()}
	r.wait, r.run = minutes(3), minutes(12)
	if sc.set != nil {
		sc.set(r.sim)
	}
	o := simOptions(t, r.sim, dir, sc.cases)
	o.Host, o.Slurm = r, slurm.New(r, slurm.Options{})
	o.Processes = func(string) []int { return nil }
	o.Poll = Polling{Agent: 5070 * time.Millisecond, Lease: 9130 * time.Millisecond}
	o.spread = func() float64 { return 0 }
	o.Progress = func(u Update) {
		if u.Kind == Status {
			return
		}
		r.line(fmt.Sprintf("%-9s %s %d/%d [%s] %s", u.Kind, u.Slug, u.Rep, u.Attempt, u.JobID, u.Text))
	}
	if sc.opt != nil {
		sc.opt(&o)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var beside sync.WaitGroup
	if sc.during != nil {
		beside.Go(func() { sc.during(r, dir, cancel) })
	}
	run, err := Run(ctx, o)
	beside.Wait()
	r.line(fmt.Sprintf("= %v %s", err, stand(run)))
	if sc.again != nil {
		o.Poll.First, o.Poll.Pending = 0, 0
		sc.again(&o)
		run, err = resume(context.Background(), o)
		r.line(fmt.Sprintf("= %v %s", err, stand(run)))
	}
	return r.text()
}

// stand is where a run stands, in one line.
func stand(run rundir.Run) string {
	data, _ := json.Marshal(run.Cases)
	return fmt.Sprintf("ended=%v %s", run.Ended != nil, data)
}
