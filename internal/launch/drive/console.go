package drive

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// consolePart is what is read of one job's output at a time: with one reading a
// second, a bound of the rate as well. The file keeps everything.
const consolePart = 64 << 10

// console shows what the jobs print, line by line.
type console struct {
	out    io.Writer
	prefix bool
	logs   map[string]*logTail // by path there
}

type logTail struct {
	offset int64
	rest   []byte
	name   string
}

func newConsole(out io.Writer, prefix bool) *console {
	return &console{out: out, prefix: prefix, logs: map[string]*logTail{}}
}

// resume leaves out what is already in the log.
func (c *console) resume(dir rundir.AttemptDir) {
	if st, err := os.Stat(dir.SlurmOut()); err == nil {
		c.logs[dir.SlurmOut()] = &logTail{offset: st.Size()}
	}
}

// offsets says where to read on.
func (c *console) offsets(logs map[string]*theCase) map[string]int64 {
	if c.out == nil {
		return nil
	}
	out := map[string]int64{}
	for p := range logs {
		if c.logs[p] == nil {
			c.logs[p] = &logTail{}
		}
		out[p] = c.logs[p].offset
	}
	return out
}

// shortName is what stands in the brackets of a test id: a slug with all of it
// would leave half a line for what the job says.
func shortName(id string) string {
	if _, name, ok := strings.Cut(strings.TrimSuffix(id, "]"), "["); ok && name != "" {
		return name
	}
	return id
}

// print shows the whole lines of what was read.
func (c *console) print(k *theCase, path string, data []byte) {
	t := c.logs[path]
	if c.out == nil || t == nil || k == nil {
		return
	}
	t.offset += int64(len(data))
	t.name = shortName(k.plan.Case.ID)
	t.rest = append(t.rest, data...)
	for {
		line, rest, ok := bytes.Cut(t.rest, []byte("\n"))
		if !ok {
			break
		}
		c.line(t.name, line)
		t.rest = rest
	}
	if len(t.rest) > consolePart { // a line without end
		c.line(t.name, t.rest)
		t.rest = nil
	}
}

func (c *console) line(name string, line []byte) {
	if c.prefix {
		fmt.Fprintf(c.out, "%s | %s\n", name, line)
		return
	}
	fmt.Fprintf(c.out, "%s\n", line)
}
