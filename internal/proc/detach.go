package proc

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
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
	environ := func() ([]byte, error) { return os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)) }
	env, err := environ()
	// While it becomes another program, a process shows no environment.
	for tries := 0; tries < 100 && err == nil && len(env) == 0 && Exists(pid); tries++ {
		time.Sleep(10 * time.Millisecond)
		env, err = environ()
	}
	if err != nil {
		_, noProc := os.Stat("/proc/self/environ")
		return noProc != nil // without /proc the pid is all there is
	}
	return cookie != "" && anyEntry(env, func(entry string) bool { return entry == cookie })
}

// Exists reports whether process pid exists and has not ended: a zombie has, only
// its parent has not asked how.
func Exists(pid int) bool {
	if pid <= 0 || syscall.Kill(pid, 0) == syscall.ESRCH {
		return false
	}
	fields := stat(pid)
	if len(fields) == 0 {
		return true // without /proc the pid is all there is
	}
	return fields[0] != "Z" && fields[0] != "X"
}

// stat is what /proc says of a process, from its state on; nil where it says nothing.
func stat(pid int) []string {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:])) // the name in brackets may hold anything
}

// started is when a process was started, in clock ticks since the machine was.
func started(pid int) uint64 {
	const starttime = 22 - 3 // of proc(5), whose third field is the first of stat
	fields := stat(pid)
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
	return scan(func(entry string) bool { return cookie != "" && entry == cookie })
}

// WithPrefix is WithCookie for all entries that begin with prefix.
func WithPrefix(prefix string) []int {
	return scan(func(entry string) bool { return prefix != "" && strings.HasPrefix(entry, prefix) })
}

func scan(match func(entry string) bool) []int {
	dir, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range dir {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile("/proc/" + e.Name() + "/environ")
		if err == nil && anyEntry(env, match) {
			pids = append(pids, pid)
		}
	}
	slices.SortStableFunc(pids, func(a, b int) int { return cmp.Or(cmp.Compare(started(a), started(b)), a-b) })
	return pids
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
