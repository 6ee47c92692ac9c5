package step

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// reapEvery is how often at most it is looked which adopted processes have ended.
const reapEvery = 50 * time.Millisecond

// adoption is what the local agent knows of processes that its steps leave behind, and that nothing else leads to: a
// daemon leaves its process group, and with a clean environment the step's cookie. The kernel gives such to the agent.
// The zero value adopts none.
type adoption struct {
	mu     sync.Mutex      // one at a time ends or takes note; a step that starts waits for it
	kill   func() []string // all that was adopted; nil = nothing is
	steps  int             // that run
	signal chan os.Signal
}

// begin adopts from now on, where the system can; ours is a child of the agent.
func (a *adoption) begin(ours int) {
	a.signal = make(chan os.Signal, 1)
	signal.Notify(a.signal, syscall.SIGCHLD)
	if !proc.Adopt(ours) {
		signal.Stop(a.signal)
		return
	}
	a.kill = proc.EndAdopted
	go func() {
		for range a.signal {
			time.Sleep(reapEvery) // many may end at once
			a.reap()
		}
	}()
}

func (a *adoption) reap() {
	a.mu.Lock()
	defer a.mu.Unlock()
	proc.Reap()
}

func (a *adoption) end() {
	if a.kill != nil {
		signal.Stop(a.signal)
		close(a.signal)
	}
}

// started counts a step in.
func (a *adoption) started() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.steps++
}

// ended counts a step out. After the last one nobody has a right to live on: what was left behind is ended, and said.
func (a *adoption) ended() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.steps--; a.steps > 0 || a.kill == nil {
		return ""
	}
	return leftWords(a.kill())
}

const (
	maxLeft    = 3   // commands that are named
	maxCommand = 100 // bytes of one, beyond which only the program is
)

func leftWords(commands []string) string {
	if len(commands) == 0 {
		return ""
	}
	n := len(commands)
	slices.Sort(commands)
	named := slices.Compact(commands)
	more := ""
	if len(named) > maxLeft {
		named, more = named[:maxLeft], ", …"
	}
	for i, command := range named {
		if len(command) > maxCommand { // never cut within an argument: half a secret would not be known as one
			program, _, _ := strings.Cut(command, " ")
			named[i] = rundir.Clip(program, maxCommand) + " …"
		}
	}
	return fmt.Sprintf("processes that had been left behind were ended: %d (%s%s)", n, strings.Join(named, ", "), more)
}
