// Package proc runs child processes and is the only package that may.
//
// In: an argv, an explicit environment, writers, a context. Out: how the child
// ended, what it printed (bounded), and an error that carries the tail of its
// stderr.
//
// Every child leads a process group of its own, so that a Ctrl-C on the terminal
// reaches us and not the scancel we are running, and so that a helper forked by
// the child (a shell's sleep, a server's worker) dies with it. When the context
// ends, the group gets SIGTERM, after Grace SIGKILL. A grandchild that keeps a
// pipe open cannot hold Wait back for longer than WaitDelay. There is no shell:
// nothing in an argument is ever interpreted.
package proc
