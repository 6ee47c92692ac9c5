package slurmtest

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// tasksOn lists the slurmstepd processes of one node and all that they have started. A slurmstepd is known by the log
// of its node, which it keeps open; a process that has moved away from its parents, by the environment that Slurm gave
// it.
func (c *Cluster) tasksOn(node string) []int {
	log := filepath.Join(c.Dir, "log", "slurmd."+node+".log")
	children := map[int][]int{}
	var todo []int
	for _, pid := range processes() {
		stat := procStat(pid)
		children[stat.parent] = append(children[stat.parent], pid)
		if stat.comm == "slurmstepd" && hasOpen(pid, log) || c.isTask(pid, node) {
			todo = append(todo, pid)
		}
	}
	seen := map[int]bool{os.Getpid(): true}
	var found []int
	for len(todo) > 0 {
		pid := todo[0]
		todo = todo[1:]
		if seen[pid] {
			continue
		}
		seen[pid] = true
		found = append(found, pid)
		todo = append(todo, children[pid]...)
	}
	return found
}

func (c *Cluster) isTask(pid int, node string) bool {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	has := func(s string) bool { return bytes.Contains(append([]byte{0}, env...), []byte("\x00"+s+"\x00")) }
	return has("SLURM_CLUSTER_NAME=ci"+strconv.Itoa(c.Port)) && has("SLURMD_NODENAME="+node)
}

func hasOpen(pid int, file string) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	fds, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, fd := range fds {
		if to, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil && to == file {
			return true
		}
	}
	return false
}

func processes() []int {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var pids []int
	for _, d := range dirs {
		if pid, err := strconv.Atoi(filepath.Base(d)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

type stat struct {
	comm   string
	state  string
	parent int
}

func procStat(pid int) stat {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}
	}
	text := string(b)
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return stat{}
	}
	f := strings.Fields(text[end+1:])
	if len(f) < 2 {
		return stat{}
	}
	parent, _ := strconv.Atoi(f[1])
	return stat{comm: text[open+1 : end], state: f[0], parent: parent}
}

func alive(pid int) bool {
	s := procStat(pid)
	return s.state != "" && s.state != "Z"
}

func kill(pids []int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func readPID(file string) (int, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}
