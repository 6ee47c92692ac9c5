package proc

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Adopt makes the processes that our descendants leave behind children of ours, as init would make them its own: so
// they are known whatever their environment is. From then on Reap has to be called when a child has ended. ours is a
// child that Start has started: ok = it can be told from those, and the processes of others are adopted.
func Adopt(ours int) (ok bool) {
	return here.started()[ours] && unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == nil
}

// Reap takes note of the adopted processes that have ended: else they stay.
func Reap() {
	for _, c := range here.adopted() {
		if c.ended {
			_, _ = unix.Wait4(c.pid, nil, unix.WNOHANG, nil)
		}
	}
}

// EndAdopted kills what was adopted, and what that leaves behind in turn. It returns the command lines of those that
// had not ended, and does not wait for long for one that cannot be killed.
func EndAdopted() (commands []string) {
	seen := map[offspring]bool{}
	for range adoptRounds {
		left := here.adopted()
		if len(left) == 0 {
			break
		}
		for _, c := range left {
			if c.ended {
				_, _ = unix.Wait4(c.pid, nil, unix.WNOHANG, nil)
				continue
			}
			if !seen[c] {
				seen[c] = true
				commands = append(commands, here.command(c.pid))
			}
			_ = syscall.Kill(c.pid, syscall.SIGKILL) // a child of ours keeps its number until we have waited for it
		}
		time.Sleep(execPause)
	}
	return commands
}

const adoptRounds = 200

// offspring is a child of ours.
type offspring struct {
	pid   int
	start string
	ended bool // it is a zombie
}

// adopted are our children that we have not started. The list of all is read first: of one that was started since then
// nothing stands there.
func (t table) adopted() (out []offspring) {
	children := t.children(os.Getpid())
	started := t.started()
	for _, c := range children {
		if !started[c.pid] {
			out = append(out, c)
		}
	}
	return out
}

func (t table) children(of int) (out []offspring) {
	dir, err := os.ReadDir(string(t))
	if err != nil {
		return nil
	}
	const state, parent, start = 0, 4 - 3, 22 - 3 // of proc(5), whose third field is the first of stat
	for _, e := range dir {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if f := t.stat(e.Name()); len(f) > start && f[parent] == strconv.Itoa(of) {
			out = append(out, offspring{pid: pid, start: f[start], ended: f[state] == "Z" || f[state] == "X"})
		}
	}
	return out
}

// started are the children that we have started ourselves: of each Go holds a descriptor until it has waited for it.
func (t table) started() map[int]bool {
	out := map[int]bool{}
	files, _ := filepath.Glob(filepath.Join(string(t), "self/fdinfo/*"))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if pid, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "Pid:"))); err == nil && strings.HasPrefix(line, "Pid:") {
				out[pid] = true
			}
		}
	}
	return out
}

// command is a process's command line, or its name in brackets where it has none.
func (t table) command(pid int) string {
	dir := filepath.Join(string(t), strconv.Itoa(pid))
	line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if words := bytes.TrimSpace(bytes.ReplaceAll(line, []byte{0}, []byte(" "))); len(words) > 0 {
		return string(words)
	}
	name, nameErr := os.ReadFile(filepath.Join(dir, "comm"))
	if errors.Join(err, nameErr) != nil {
		return "?"
	}
	return "[" + strings.TrimSpace(string(name)) + "]"
}
