package scan

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// launcherMessages are the lines that srun itself writes into a step's output.
// srun exits with the highest code of all tasks: when rank 1 fails with exit 1
// and --kill-on-bad-exit then kills rank 0, that is 137. Only its messages, which
// come in the order of the tasks' ends, say who was first
// (docs/facts/slurm.md#exit-code-of-srun).
type launcherMessages struct {
	task   *regexp.Regexp
	oom    *regexp.Regexp
	launch *regexp.Regexp
	lost   *regexp.Regexp
	due    *regexp.Regexp
	ends   *regexp.Regexp
	abort  *regexp.Regexp
	cancel *regexp.Regexp
	shell  *regexp.Regexp
}

// splitLauncher splits a line before a message of srun or slurmstepd, which begins
// behind whatever open line somebody else has left. message is "" when there is none.
func splitLauncher(line string) (text, message string) {
	for _, name := range [...]string{"srun: ", "slurmstepd"} {
		i := strings.Index(line, name)
		if i < 0 {
			continue
		}
		rest := line[i+len(name):]
		if name == "slurmstepd" {
			var ok bool
			if _, rest, ok = strings.Cut(rest, ": "); !ok {
				continue
			}
		}
		word, _, _ := strings.Cut(rest, " ")
		switch strings.TrimRight(word, ":") {
		case "error", "fatal", "unrecognized", "invalid", "ambiguous", "option", "Job", "Step", "Force", "Terminating", "launch/slurm", "job", "step", "***":
			return strings.TrimRight(line[:i], " "), line[i:]
		}
	}
	return line, ""
}

func newLauncherMessages() launcherMessages {
	return launcherMessages{
		// srun: error: gpu1: task 1: Exited with exit code 3
		// srun: error: gpu0: tasks 0,2-3: Killed
		task: regexp.MustCompile(`^srun: error: (\S+): tasks? (\d+)[-,\d]*: (?:Exited with exit code (\d+)|([A-Z][A-Za-z ]+?)(?: \(core dumped\))?)$`),
		oom:  regexp.MustCompile(`(?i)^(?:srun|slurmstepd)[-:].*(?:oom[-_ ]kill|Out Of Memory)`),
		lost: regexp.MustCompile(`^srun: error: Node failure on (\S+)`),
		// slurmstepd-gpu1: error: *** STEP 4.0 ON gpu1 CANCELLED AT 2026-… DUE TO PREEMPTION ***
		due: regexp.MustCompile(`^slurmstepd\S*: error: \*\*\* (?:JOB|STEP) \S+ ON \S+ CANCELLED AT \S+ DUE TO ([A-Z ]+?)(?:,.*)? \*\*\*`),
		// srun: launch/slurm: _step_signal: Terminating StepId=4.0
		// srun: Force Terminated job 4
		ends: regexp.MustCompile(`^srun: (?:\S+: )*(?:Force Terminated|Terminating) |^srun: Job step aborted`),
		// slurmstepd-gpu0: error:  mpi/pmix_v4: _errhandler: gpu0 [0]: pmixp_client_v2.c:211: Error handler invoked: status =
		// -61, …
		abort: regexp.MustCompile(`^slurmstepd\S*: error: +mpi/pmi\S+: .*(?:Error handler invoked|[Aa]bort)`),
		// slurmstepd-gpu0: error: *** STEP 33.3 ON gpu0 CANCELLED AT 2026-11-30T00:53:38 ***
		cancel: regexp.MustCompile(`^slurmstepd\S*: error: \*\*\* STEP \S+ ON \S+ CANCELLED AT \S+ \*\*\*`),
		// roles/client/role.sh: line 19: 21185 Killed                  timeout -s KILL 3 sleep 100
		shell: regexp.MustCompile(`: line \d+: +\d+ Killed +(\S.*)$`),
		launch: regexp.MustCompile(`^srun: (?:error|fatal): (?:Unable to create step|Task launch for .* failed|Application launch failed|Unable to confirm allocation|` +
			`Invalid node name|task \d+ launch failed|Unable to resolve|invalid node name|PMK_KVS_Barrier|Unable to allocate resources|` +
			`.*(?:pyxis|spank).*)`),
	}
}

// fromLauncher notes what a message of srun or slurmstepd says.
func (s *Log) fromLauncher(line string) {
	m := s.look.launcher
	if m.oom.MatchString(line) {
		s.st.OOM = true // and the line may also name the task
	}
	switch {
	case strings.Contains(line, "step creation temporarily disabled") || strings.Contains(line, "step creation still disabled"):
		s.st.Waiting = true
	case strings.HasPrefix(line, "srun: Step created for"):
		s.st.Waiting = false
	case m.lost.MatchString(line):
		if s.st.LostNode == "" {
			s.st.LostNode = m.lost.FindStringSubmatch(line)[1]
		}
	case m.ends.MatchString(line):
		s.st.terminating = true
		s.st.ended = s.st.ended || !strings.HasPrefix(line, "srun: Job step aborted") // which it says of a step that others end, too
	case m.abort.MatchString(line):
		s.st.ended = true // the plugin then cancels the step, as for whoever asks for it
	case m.cancel.MatchString(line):
		// srun's own "Terminating" ends a step so because a task of it has ended, which it has told before.
		s.st.Cancelled = s.st.Cancelled || s.st.FirstTask == nil && !s.st.ended
	case m.due.MatchString(line):
		s.st.Due = m.due.FindStringSubmatch(line)[1]
	case m.launch.MatchString(line):
		if s.st.Launcher == "" {
			s.st.Launcher = s.lineAt(0, line).Text
		}
	default:
		t, ok := m.parseTask(line)
		if !ok && s.st.Complaint == "" && strings.HasPrefix(line, "srun: ") {
			s.st.Complaint = s.lineAt(0, line).Text
		}
		if ok && s.st.FirstTask == nil && !s.st.Forced(t.Signal) {
			s.st.FirstTask = &t
			if s.BadTask != nil {
				s.BadTask(t)
			}
		}
	}
}

// fromShell notes of which command a shell says that it was killed: bash in a line with its own place, dash by the
// word.
func (s *Log) fromShell(line string) {
	if m := s.look.launcher.shell.FindStringSubmatch(line); m != nil {
		s.st.Killed = m[1]
	} else if line == "Killed" && s.st.Killed == "" {
		s.st.Killed = "?"
	}
}

// SentBy adds to the end of the log's role what it says of who has ended it; status: that it was killed is read from an
// exit code.
func (st State) SentBy(events []blame.Event, role string, status bool) {
	for i := range events {
		e := &events[i]
		if e.Role != role || e.Kind != blame.RoleEnd {
			continue
		}
		e.Interrupted = st.Interrupted
		e.Outside = st.Cancelled && e.Stopped.IsZero()
		if e.Signal == 9 && status {
			e.Inside = st.killedBy()
		}
	}
}

// killedBy says how an exit code 137 came about of which no process was seen to die: of a kill that comes from outside,
// a shell says which command it has hit, and timeout(1), which ends itself by a SIGKILL that it sends, is the role's
// own.
func (st State) killedBy() blame.Inside {
	words := strings.Fields(st.Killed)
	for i, word := range words {
		if strings.Contains(word, "=") || word == "env" || word == "exec" {
			continue
		}
		if path.Base(word) == "timeout" && sendsKill(words[i+1:]) {
			return blame.OwnTimeout
		}
		return ""
	}
	return ""
}

// sendsKill reports whether timeout(1) ever sends SIGKILL, by its options, with which words begin: -k DURATION or -s
// KILL.
func sendsKill(words []string) bool {
	for len(words) > 0 && strings.HasPrefix(words[0], "-") {
		name, value := option(words[0])
		words = words[1:]
		if strings.HasPrefix(name, "k") {
			return true
		}
		if !strings.HasPrefix(name, "s") {
			continue
		}
		if value == "" && len(words) > 0 {
			value, words = words[0], words[1:]
		}
		if slices.Contains([]string{"KILL", "SIGKILL", "9"}, strings.ToUpper(strings.Trim(value, `"'`))) {
			return true
		}
	}
	return false
}

// option is the name and the value of an option of timeout(1): --signal=KILL, -sKILL, or behind those without a value,
// -vk5.
func option(word string) (name, value string) {
	if long, ok := strings.CutPrefix(word, "--"); ok {
		name, value, _ = strings.Cut(long, "=")
		return name, value
	}
	short := strings.TrimLeft(word[1:], "fpv")
	return short[:min(1, len(short))], short[min(1, len(short)):]
}

// parseTask reads one "task N: …" message.
func (m launcherMessages) parseTask(line string) (rundir.TaskEnd, bool) {
	g := m.task.FindStringSubmatch(line)
	if g == nil {
		return rundir.TaskEnd{}, false
	}
	task, err := strconv.Atoi(g[2])
	if err != nil {
		return rundir.TaskEnd{}, false
	}
	t := rundir.TaskEnd{Task: task, Node: g[1]}
	if g[3] != "" {
		t.Exit, err = strconv.Atoi(g[3])
		return t, err == nil && t.Exit != 0
	}
	t.Signal = signalFromWords(g[4])
	if t.Signal == 0 {
		return rundir.TaskEnd{}, false
	}
	t.Exit = 128 + t.Signal
	return t, true
}

// signalFromWords is the number of a signal as strsignal(3) describes it.
func signalFromWords(words string) int {
	return map[string]int{
		"Hangup": 1, "Interrupt": 2, "Quit": 3, "Illegal instruction": 4, "Trace/breakpoint trap": 5, "Aborted": 6,
		"Bus error": 7, "Floating point exception": 8, "Killed": 9, "User defined signal 1": 10, "Segmentation fault": 11,
		"User defined signal 2": 12, "Broken pipe": 13, "Alarm clock": 14, "Terminated": 15, "CPU time limit exceeded": 24,
		"File size limit exceeded": 25, "Bad system call": 31, "Out Of Memory": 9,
	}[strings.TrimSpace(words)]
}

// Forced reports whether a signal was srun's own by what it had said before: it
// ends a step's other tasks for reasons that need not stand in this log.
func (st State) Forced(signal int) bool {
	return st.terminating && (signal == 9 || signal == 15)
}
