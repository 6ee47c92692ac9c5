package step

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/ci-disagg/ci-disagg/internal/proc"
)

// Guard is our end of a helper process that outlives a SIGKILL of the local
// agent just long enough to end the steps: what slurmstepd does for us on a
// cluster. It is told every task's process group; when the pipe closes without
// a farewell, it kills them.
type Guard struct {
	mu   sync.Mutex
	to   *os.File
	proc *proc.Process
	left adoption
}

// StartGuard starts argv, which must call ServeGuard. A nil guard is one that does
// nothing. With adopt, what the steps leave behind becomes this process's, which ends it after the last of them.
func StartGuard(ctx context.Context, argv, env []string, adopt bool) (*Guard, error) {
	if len(argv) == 0 {
		return nil, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	// A session of its own: what ends the agent's group must not end this.
	p, err := proc.Start(context.WithoutCancel(ctx), proc.Command{Argv: argv, Env: env, Stdin: r, Stdout: io.Discard, Stderr: io.Discard, Session: true})
	if err != nil {
		_ = w.Close()
		return nil, err
	}
	g := &Guard{to: w, proc: p}
	if adopt {
		g.left.begin(p.PID())
	}
	return g, nil
}

func (g *Guard) tell(format string, args ...any) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	_, _ = fmt.Fprintf(g.to, format, args...) // without it we only lose the net under the rope
}

func (g *Guard) add(pgid int)    { g.tell("+%d\n", pgid) }
func (g *Guard) remove(pgid int) { g.tell("-%d\n", pgid) }

// begins counts a step in.
func (g *Guard) begins() {
	if g != nil {
		g.left.started()
	}
}

// ended counts a step out; what all of them have left behind is ended with the last one, and said.
func (g *Guard) ended() string {
	if g == nil {
		return ""
	}
	return g.left.ended()
}

// Close says farewell.
func (g *Guard) Close() {
	if g == nil {
		return
	}
	g.tell("bye\n")
	_ = g.to.Close()
	_, _ = g.proc.Wait()
	g.left.end()
}

// ServeGuard reads what the agent says on r until it stops. If the agent went without
// a farewell, the process groups that it had running are killed, and whatever
// carries a step cookie of that attempt.
func ServeGuard(r io.Reader, mark string) {
	groups := map[int]bool{}
	in := bufio.NewScanner(r)
	for in.Scan() {
		line := in.Text()
		if line == "bye" {
			return
		}
		pgid, err := strconv.Atoi(strings.TrimLeft(line, "+-"))
		if err != nil || pgid <= 1 {
			continue
		}
		if line[0] == '+' {
			groups[pgid] = true
		} else {
			delete(groups, pgid)
		}
	}
	for pgid := range groups {
		_ = syscall.Kill(-pgid, syscall.SIGKILL)
	}
	_ = proc.KillAll(func() []int { return proc.WithPrefix(Cookie + "=" + mark + ".") })
}
