package agent

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// launcherMessages are the lines that srun itself writes into a step's output.
// srun exits with the highest code of all tasks: when rank 1 fails with exit 1
// and --kill-on-bad-exit then kills rank 0, that is 137. Only its messages, which
// come in the order of the tasks' ends, say who was first.
type launcherMessages struct {
	task   *regexp.Regexp
	oom    *regexp.Regexp
	launch *regexp.Regexp
}

func newLauncherMessages() launcherMessages {
	return launcherMessages{
		// srun: error: gpu1: task 1: Exited with exit code 3
		// srun: error: gpu0: tasks 0,2-3: Killed
		task: regexp.MustCompile(`^srun: error: (\S+): tasks? (\d+)[-,\d]*: (?:Exited with exit code (\d+)|([A-Z][A-Za-z ]+?)(?: \(core dumped\))?)$`),
		oom:  regexp.MustCompile(`(?i)^(?:srun|slurmstepd)[-:].*(?:oom[-_ ]kill|Out Of Memory)`),
		launch: regexp.MustCompile(`^srun: (?:error|fatal): (?:Unable to create step|Task launch for .* failed|Application launch failed|Unable to confirm allocation|` +
			`Invalid node name|Node failure on|task \d+ launch failed|Unable to resolve|invalid node name|PMK_KVS_Barrier|Unable to allocate resources|` +
			`.*(?:pyxis|spank).*)`),
	}
}

// taskMessage is one "task N: …" line.
type taskMessage struct{ rundir.TaskEnd }

// fromLauncher notes what srun says about tasks. The caller holds l.mu.
func (l *roleLog) fromLauncher(line string) {
	if !strings.HasPrefix(line, "srun: ") && !strings.HasPrefix(line, "slurmstepd") {
		return
	}
	m := l.look.launcher
	switch {
	case m.oom.MatchString(line):
		l.st.oom = true
	case m.launch.MatchString(line):
		if l.st.launcher == "" {
			l.st.launcher = clip(line)
		}
	default:
		if t, ok := m.parseTask(line); ok && l.st.firstTask == nil {
			l.st.firstTask = &t
		}
	}
}

func (m launcherMessages) parseTask(line string) (taskMessage, bool) {
	g := m.task.FindStringSubmatch(line)
	if g == nil {
		return taskMessage{}, false
	}
	task, err := strconv.Atoi(g[2])
	if err != nil {
		return taskMessage{}, false
	}
	t := taskMessage{rundir.TaskEnd{Task: task, Node: g[1]}}
	if g[3] != "" {
		t.Exit, err = strconv.Atoi(g[3])
		return t, err == nil && t.Exit != 0
	}
	t.Signal = signalFromWords(g[4])
	if t.Signal == 0 {
		return taskMessage{}, false
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
