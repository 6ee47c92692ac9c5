package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"sync"
	"syscall"
	"time"
)

// Run starts c, waits for its end and returns how it ended. The error is nil
// exactly if the child exited 0 and all of its output was kept. It is an
// *ExitError (errors.As) when the child ended by itself with something else, and
// wraps the context's cause or context.DeadlineExceeded when we ended it.
func Run(ctx context.Context, c Command) (Result, error) {
	p, err := Start(ctx, c)
	if err != nil {
		return Result{Exit: -1}, err
	}
	return p.Wait()
}

// Process is a started child. Its methods may be called from any goroutine.
type Process struct {
	cmd    *exec.Cmd
	name   string
	exited chan struct{} // the child has ended; pipes may still be open
	done   chan struct{} // res and err are set

	early Result // exit code and signal; set before exited is closed

	mu     sync.Mutex
	reaped bool // from here on the pid may belong to somebody else
	cause  error

	out *limited
	err *tail
	res Result
	fin error

	pipes pipes
}

// Start starts c. The child is ended when ctx ends. The caller need not call
// Wait for the child to be reaped.
func Start(ctx context.Context, c Command) (*Process, error) {
	if len(c.Argv) == 0 {
		return nil, errors.New("proc: empty argv")
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	path, err := LookPath(c.Argv[0], c.Env)
	if err != nil {
		return nil, err
	}
	p := &Process{
		name:   filepath.Base(c.Argv[0]),
		exited: make(chan struct{}),
		done:   make(chan struct{}),
		err:    &tail{max: stderrTail},
	}
	p.cmd = p.command(ctx, path, c)
	if err := p.attach(c); err != nil {
		p.pipes.closeAll()
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	if err := p.cmd.Start(); err != nil {
		p.pipes.closeAll()
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	p.pipes.begin()
	go p.reap(c.KillLeft, orDefault(c.WaitDelay, DefaultWaitDelay))
	go p.watch(ctx, c.Timeout, orDefault(c.Grace, DefaultGrace))
	return p, nil
}

func (p *Process) command(ctx context.Context, path string, c Command) *exec.Cmd {
	// Our own watch does what exec's context support cannot: signal the group.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), path, c.Argv[1:]...)
	cmd.Args[0] = c.Argv[0]
	cmd.Dir = c.Dir
	cmd.Env = c.Env
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	cmd.Stdin = c.Stdin
	cmd.WaitDelay = orDefault(c.WaitDelay, DefaultWaitDelay) // for a stdin that is copied
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: !c.Session, Setsid: c.Session}
	return cmd
}

// attach gives the child its outputs. Pipes are our own and not exec's: so the
// child's end is known when it ends, and not when its output has been taken.
func (p *Process) attach(c Command) (err error) {
	stdout := c.Stdout
	if stdout == nil {
		p.out = &limited{max: orDefault(c.MaxStdout, DefaultMaxStdout)}
		stdout = p.out
	}
	if p.cmd.Stdout, err = p.pipes.to(stdout); err != nil {
		return err
	}
	switch {
	case c.Stderr == nil:
		p.cmd.Stderr, err = p.pipes.to(p.err)
	case same(c.Stderr, c.Stdout):
		p.cmd.Stderr = p.cmd.Stdout // one pipe for both keeps the order of lines
	case isFile(c.Stderr):
		p.cmd.Stderr = c.Stderr
	default:
		p.cmd.Stderr, err = p.pipes.to(io.MultiWriter(p.err, c.Stderr))
	}
	return err
}

func isFile(w io.Writer) bool {
	_, ok := w.(*os.File)
	return ok
}

// same compares two writers; those of an uncomparable type differ.
func same(a, b io.Writer) bool {
	return a != nil && b != nil && reflect.TypeOf(a).Comparable() && reflect.TypeOf(b).Comparable() && a == b
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// reap waits for the child's end. On Linux the child is first left as a zombie,
// which keeps its pid, and so its group's id, from being given away while the
// rest of the group is killed.
func (p *Process) reap(killLeft bool, delay time.Duration) {
	defer close(p.done)
	awaitExit(p.cmd.Process.Pid)
	p.mu.Lock()
	if killLeft {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
	p.reaped = true
	p.mu.Unlock()
	err := p.cmd.Wait()
	p.early = p.status()
	close(p.exited)
	if perr := p.pipes.drain(delay); err == nil {
		err = perr
	}
	p.res, p.fin = p.result(err)
}

// status is how the reaped child ended.
func (p *Process) status() Result {
	r := Result{Exit: -1}
	if st, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
		r.Exit = st.ExitStatus()
		if st.Signaled() {
			r.Signal = int(st.Signal())
			r.Exit = 128 + r.Signal
		}
	}
	return r
}

func (p *Process) result(waitErr error) (Result, error) {
	r := p.early
	r.Stderr = p.err.String()
	if p.out != nil {
		r.Stdout = p.out.Bytes()
	}
	p.mu.Lock()
	cause := p.cause
	p.mu.Unlock()
	var exit *exec.ExitError
	switch {
	case cause != nil:
		return r, fmt.Errorf("%s: ended: %w", p.name, cause)
	case errors.As(waitErr, &exit) || r.Exit != 0:
		return r, &ExitError{Name: p.name, Exit: r.Exit, Signal: r.Signal, Stderr: r.Stderr}
	case errors.Is(waitErr, exec.ErrWaitDelay):
		return r, nil // exited 0 without having read its stdin to the end
	case waitErr != nil:
		return r, fmt.Errorf("%s: %w", p.name, waitErr)
	case p.out != nil && p.out.cut:
		return r, fmt.Errorf("%s: more than %d bytes on stdout", p.name, p.out.max)
	}
	return r, nil
}

// watch ends the child when the context or the timeout does.
func (p *Process) watch(ctx context.Context, timeout, grace time.Duration) {
	var expired <-chan time.Time
	if timeout > 0 {
		t := time.NewTimer(timeout)
		defer t.Stop()
		expired = t.C
	}
	var cause error
	select {
	case <-p.exited:
		return
	case <-ctx.Done():
		cause = context.Cause(ctx)
	case <-expired:
		cause = fmt.Errorf("no end after %v: %w", timeout, context.DeadlineExceeded)
	}
	p.mu.Lock()
	if !p.reaped {
		p.cause = cause
	}
	p.mu.Unlock()
	p.Stop(grace)
}

// Stop asks the group to end (SIGTERM), waits for up to grace and kills it. It
// returns once the child has ended.
func (p *Process) Stop(grace time.Duration) {
	_ = p.Signal(syscall.SIGTERM)
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-p.exited:
		return
	case <-t.C:
	}
	_ = p.Signal(syscall.SIGKILL)
	<-p.exited
}

// Signal sends sig to the child's whole group. After the child has been reaped
// it does nothing and returns os.ErrProcessDone.
func (p *Process) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return os.ErrProcessDone
	}
	return syscall.Kill(-p.cmd.Process.Pid, sig)
}

// PID is the child's process id, which is also its group's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended waits for Exited and says how the child ended: only Exit and Signal are
// set, the output may still be on its way.
func (p *Process) Ended() Result {
	<-p.exited
	return p.early
}

// Exited is closed when the child has ended, before its output is complete.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Done is closed when the child has ended and its output is complete.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for Done and returns how the child ended. See Run for the error.
func (p *Process) Wait() (Result, error) {
	<-p.done
	return p.res, p.fin
}
