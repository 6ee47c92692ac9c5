package proc

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Detach starts c in a session of its own, with stdin from /dev/null and both
// outputs appended to logFile, and returns its pid at once. The child outlives
// us. Command's writers, Timeout and Grace play no part. If we live on when it
// ends, it is reaped.
func Detach(c Command, logFile string) (int, error) {
	// Somebody else may have been at this name before: no link is followed and no reader waited for.
	log, err := os.OpenFile(logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { _ = log.Close() }() // the child has its own copy
	if info, err := log.Stat(); err != nil || !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is no regular file", logFile)
	}
	p, err := Start(context.Background(), Command{
		Argv: c.Argv, Dir: c.Dir, Env: c.Env, Stdout: log, Stderr: log, Session: true,
	})
	if err != nil {
		return 0, err
	}
	return p.PID(), nil
}

// Alive reports whether process pid exists and, where the system lets us look
// (/proc), has the given NAME=VALUE in its environment: a pid alone may long
// belong to somebody else. A zombie is not alive.
func Alive(pid int, cookie string) bool {
	if pid <= 0 || syscall.Kill(pid, 0) == syscall.ESRCH {
		return false
	}
	env := here.environ(strconv.Itoa(pid), time.Now().Add(execTime)) //nolint:forbidigo // a bound of real processes
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		return true // without /proc the pid is all there is
	}
	return cookie != "" && anyEntry(env, func(entry string) bool { return entry == cookie })
}

// Exists reports whether process pid exists and has not ended: a zombie has, only
// its parent has not asked how.
func Exists(pid int) bool {
	if pid <= 0 || syscall.Kill(pid, 0) == syscall.ESRCH {
		return false
	}
	fields := here.stat(strconv.Itoa(pid))
	if len(fields) == 0 {
		return true // without /proc the pid is all there is
	}
	return fields[0] != "Z" && fields[0] != "X"
}

// stat is what is known of a process, from its state on; nil where it cannot be read.
func (t table) stat(pid string) []string {
	line, err := os.ReadFile(filepath.Join(string(t), pid, "stat"))
	if err != nil {
		return nil
	}
	return strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:])) // the name in brackets may hold anything
}

// started is when a process was started, in clock ticks since the machine was.
func started(pid int) uint64 {
	const starttime = 22 - 3 // of proc(5), whose third field is the first of stat
	fields := here.stat(strconv.Itoa(pid))
	if len(fields) <= starttime {
		return math.MaxUint64
	}
	ticks, err := strconv.ParseUint(fields[starttime], 10, 64)
	if err != nil {
		return math.MaxUint64
	}
	return ticks
}

// WithCookie lists the living processes, except our own, that have the given
// NAME=VALUE in their environment, the oldest first: pids begin again at their limit.
// Without /proc it finds none.
func WithCookie(cookie string) []int {
	return here.find(func(entry string) bool { return cookie != "" && entry == cookie })
}

// WithPrefix is WithCookie for all entries that begin with prefix.
func WithPrefix(prefix string) []int {
	return here.find(func(entry string) bool { return prefix != "" && strings.HasPrefix(entry, prefix) })
}

// KillAll kills the processes that find lists, and what they have started meanwhile. It returns when they have gone, or
// after killBound.
func KillAll(find func() []int) error { return killAll(find, killBound) }

func killAll(find func() []int, bound time.Duration) error {
	over := time.NewTimer(bound)
	defer over.Stop()
	late := false
	for round := 1; ; round++ {
		var errs []error
		pids := find()
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				errs = append(errs, fmt.Errorf("kill process %d: %w", pid, err))
			}
		}
		if len(pids) == 0 {
			return nil
		}
		select {
		case <-over.C:
			late = true
		case <-time.After(execPause):
		}
		if late && round >= killRounds {
			return errors.Join(errs...) // what could not be killed in the last round counts
		}
	}
}

const (
	killBound  = 5 * time.Second // a killed process needs its turn on a busy machine, and for ever on a dead file system
	killRounds = 3               // at least, as one look may take longer than that: what was started meanwhile is killed, too
	execPause  = 10 * time.Millisecond
	execLooks  = 100              // however long they take
	execTime   = 10 * time.Second // a machine with too much to do may leave a process in the middle of it
)

// table is the system's table of processes.
type table string

const here table = "/proc"

// find lists the processes with an entry in their environment that matches. Where it finds
// none it looks once more: one that was started while it read the first list, by one that
// has ended since, is in neither's place.
func (t table) find(match func(entry string) bool) []int {
	pids := t.scan(match)
	if len(pids) == 0 {
		pids = t.scan(match)
	}
	slices.SortStableFunc(pids, func(a, b int) int { return cmp.Or(cmp.Compare(started(a), started(b)), a-b) })
	return pids
}

func (t table) scan(match func(entry string) bool) []int {
	dir, err := os.ReadDir(string(t))
	if err != nil {
		return nil
	}
	var pids []int
	until := time.Now().Add(execTime) //nolint:forbidigo // likewise
	for _, e := range dir {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if anyEntry(t.environ(e.Name(), until), match) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// environ is the environment of a process, nil where it cannot be read. While it becomes
// another program, a process shows none: nor a command line, which those have that were
// started without an environment. It is looked at until then.
func (t table) environ(pid string, until time.Time) []byte {
	for looks := 0; looks < execLooks || time.Now().Before(until); looks++ { //nolint:forbidigo // likewise
		env, err := os.ReadFile(filepath.Join(string(t), pid, "environ"))
		if err != nil || len(env) > 0 {
			return env
		}
		line, err := os.ReadFile(filepath.Join(string(t), pid, "cmdline"))
		if err != nil || len(line) > 0 || !t.executes(pid) {
			return nil
		}
		time.Sleep(execPause)
	}
	return nil
}

// executes reports whether a process without a command line may be about to have one:
// neither one that ends or has ended nor a thread of the kernel.
func (t table) executes(pid string) bool {
	const flags, exitingOrKernel = 9 - 3, 0x4 | 0x00200000 // of proc(5); PF_EXITING, PF_KTHREAD
	fields := t.stat(pid)
	if len(fields) <= flags || fields[0] == "Z" || fields[0] == "X" {
		return false
	}
	n, err := strconv.ParseUint(fields[flags], 10, 64)
	return err == nil && n&exitingOrKernel == 0
}

// anyEntry looks through a NUL-separated environment. A zombie's is empty.
func anyEntry(env []byte, match func(entry string) bool) bool {
	for e := range bytes.SplitSeq(env, []byte{0}) {
		if match(string(e)) {
			return true
		}
	}
	return false
}
