package rundir

import (
	"fmt"
	"os"
	"syscall"
)

// Ending is how a process ended.
type Ending struct {
	Exit   int
	Signal int // that killed it, 0 = none
	OOM    bool
	Task   int    // of a step with several tasks, the one that ended first; 0 = the first, or there is only one
	Node   string // where that task ran, "" = not known
}

// String is the one wording of an end: "exit 1", "killed by SIGKILL (exit 137), out of memory, task 3 on gpu1 first".
func (e Ending) String() string {
	text := fmt.Sprintf("exit %d", e.Exit)
	if e.Signal != 0 {
		text = fmt.Sprintf("killed by %s (exit %d)", SignalName(e.Signal), 128+e.Signal)
	}
	if e.OOM {
		text += ", out of memory"
	}
	switch {
	case e.Node != "":
		text += fmt.Sprintf(", task %d on %s first", e.Task, e.Node)
	case e.Task > 0:
		text += fmt.Sprintf(", task %d first", e.Task)
	}
	return text
}

// Crashed reports whether a process ended by a signal that it brought on itself.
func (e Ending) Crashed() bool {
	switch syscall.Signal(e.Signal) {
	case syscall.SIGILL, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV:
		return true
	default:
		return false
	}
}

// Ending is how the role's process ended.
func (r RoleRecord) Ending() Ending {
	e := Ending{Exit: r.Exit, Signal: r.Signal, OOM: r.OOM}
	if t := r.FirstTask; t != nil && len(r.Nodes) > 1 {
		e.Task, e.Node = t.Task, t.Node
	}
	return e
}

// Stopper is who asked for the role's end, for people; "" = nobody did.
func (r RoleRecord) Stopper() string {
	switch r.StoppedBy {
	case StoppedByAgent:
		return "ci-disagg"
	case StoppedBySlurm:
		return "Slurm"
	default:
		return r.StoppedBy
	}
}

// EndWords is how the role's process ended, and who asked for that.
func (r RoleRecord) EndWords() string {
	text := r.Ending().String()
	if by := r.Stopper(); by != "" {
		text += ", stopped by " + by
	}
	return text
}

// SignalName is a signal's name, SIGTERM, or "signal 42" for one that has none.
func SignalName(n int) string {
	names := map[syscall.Signal]string{
		syscall.SIGHUP: "SIGHUP", syscall.SIGINT: "SIGINT", syscall.SIGQUIT: "SIGQUIT", syscall.SIGILL: "SIGILL",
		syscall.SIGTRAP: "SIGTRAP", syscall.SIGABRT: "SIGABRT", syscall.SIGBUS: "SIGBUS", syscall.SIGFPE: "SIGFPE",
		syscall.SIGKILL: "SIGKILL", syscall.SIGUSR1: "SIGUSR1", syscall.SIGSEGV: "SIGSEGV", syscall.SIGUSR2: "SIGUSR2",
		syscall.SIGPIPE: "SIGPIPE", syscall.SIGALRM: "SIGALRM", syscall.SIGTERM: "SIGTERM", syscall.SIGXCPU: "SIGXCPU",
		syscall.SIGXFSZ: "SIGXFSZ", syscall.SIGSYS: "SIGSYS",
	}
	if name, ok := names[syscall.Signal(n)]; ok {
		return name
	}
	return fmt.Sprintf("signal %d", n)
}

// SignalOf names a signal that this process was sent.
func SignalOf(sig os.Signal) string {
	if s, ok := sig.(syscall.Signal); ok {
		return SignalName(int(s))
	}
	return sig.String()
}
