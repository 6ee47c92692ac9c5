package probe

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/machine"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// smi is the driver's own program.
const smi = "nvidia-smi"

// hasGPUs reports whether anybody can be asked about GPUs.
func (p *Probe) hasGPUs() bool {
	_, err := proc.LookPath(smi, p.o.Env)
	return err == nil
}

func (p *Probe) ask(ctx context.Context, args ...string) ([]byte, error) {
	res, err := proc.Run(ctx, proc.Command{
		Argv: append([]string{smi}, args...), Env: append(p.o.Env[:len(p.o.Env):len(p.o.Env)], "LC_ALL=C"), Timeout: p.o.Ask, Grace: 200 * time.Millisecond, KillLeft: true,
	})
	return res.Stdout, err
}

func (p *Probe) query(ctx context.Context) (machine.Query, error) {
	if !p.hasGPUs() {
		return machine.Query{}, errors.New(smi + " is not here")
	}
	text, err := p.ask(ctx, "-q")
	if err != nil {
		return machine.Query{}, err
	}
	return machine.ParseQuery(text)
}

// gpus finds out which cards the node has. A node without nvidia-smi has none, and
// nobody wants to be told.
func (p *Probe) gpus(ctx context.Context) {
	if !p.hasGPUs() {
		return
	}
	q, err := p.query(ctx)
	if err != nil {
		p.missing("GPUs: " + err.Error())
		return
	}
	links := map[string]rundir.NVLink{}
	if text, err := p.ask(ctx, "nvlink", "-s"); err == nil {
		links = machine.ParseLinks(text)
	}
	cards := p.ours(q.GPUs)
	for i := range cards {
		if l, ok := links[cards[i].UUID]; ok {
			if has := cards[i].NVLink; has != nil {
				l.Fabric = has.Fabric
			}
			cards[i].NVLink = &l
		}
	}
	p.mu.Lock()
	p.rec.Driver, p.rec.CUDA, p.rec.GPUs = q.Driver, q.CUDA, cards
	p.mu.Unlock()
}

// others counts the processes on each of the job's cards that are somebody else's, and
// notes them. What cannot be told is none: in a namespace of processes of its own
// nobody's are known by their numbers.
func (p *Probe) others(ctx context.Context) map[int]int {
	text, err := p.ask(ctx, "--query-compute-apps="+machine.ProcessQuery, "--format=csv,noheader")
	if err != nil {
		return nil
	}
	at := p.o.Now()
	out := map[int]int{}
	for _, app := range machine.ParseProcesses(string(text)) {
		if index, ok := p.indexOf(app.UUID); ok && p.stranger(app) {
			out[index]++
			p.note(rundir.Other{UUID: app.UUID, PID: app.PID, Name: rundir.Clip(app.Name, 100), First: at, Last: at})
		}
	}
	return out
}

func (p *Probe) indexOf(uuid string) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.rec.GPUs {
		if g.UUID == uuid {
			return g.Index, true
		}
	}
	return 0, false
}

// maxOthers bounds the strangers that are noted.
const maxOthers = 50

func (p *Probe) note(o rundir.Other) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.rec.Others {
		if was := &p.rec.Others[i]; was.UUID == o.UUID && was.PID == o.PID {
			was.Last = o.Last
			return
		}
	}
	if len(p.rec.Others) < maxOthers {
		p.rec.Others = append(p.rec.Others, o)
	}
}

// stranger reports whether a process is not the job's: it has neither the job's mark in
// its environment nor its control group. The server of MPS computes for its clients.
func (p *Probe) stranger(app machine.Process) bool {
	if strings.HasSuffix(app.Name, "nvidia-cuda-mps-server") {
		return false
	}
	dir := filepath.Join("proc", strconv.Itoa(app.PID))
	groups := p.read(filepath.Join(dir, "cgroup"))
	if groups == "" {
		return false // it has gone, or is not to be seen from here
	}
	env := p.read(filepath.Join(dir, "environ"))
	for e := range strings.SplitSeq(env, "\x00") {
		if p.o.Mark != "" && strings.HasPrefix(e, p.o.Mark) {
			return false // also of a container that a role has started outside of the job's group
		}
	}
	if job := "/job_" + p.o.Job; p.o.Job != "" && strings.Contains(p.read("proc/self/cgroup"), job) {
		return !strings.Contains(strings.ReplaceAll(groups, "\n", "/\n"), job+"/")
	}
	if env == "" { // another user's
		return p.sees(dir) || p.allPIDs()
	}
	return p.sees(dir)
}

// sees reports whether the process has a GPU's device open: else the number is another
// process's here than it was for the driver.
func (p *Probe) sees(dir string) bool {
	for _, fd := range p.list(filepath.Join(dir, "fd")) {
		if to, err := os.Readlink(filepath.Join(p.o.Root, dir, "fd", fd)); err == nil && strings.HasPrefix(to, "/dev/nvidia") {
			return true
		}
	}
	return false
}

// firstPIDs is the kernel's own namespace of processes, PROC_PID_INIT_INO.
const firstPIDs = "pid:[4026531836]"

// allPIDs reports whether the numbers of processes are the machine's here.
func (p *Probe) allPIDs() bool {
	ns, err := os.Readlink(filepath.Join(p.o.Root, "proc/self/ns/pid"))
	return err == nil && ns == firstPIDs
}
