package follow

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/plain"
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

// offset adds to a list from where on a job's output is read. name is the case's.
func (c *console) offset(to map[string]int64, path, name string) {
	if c.out == nil {
		return
	}
	t := c.logs[path]
	if t == nil {
		t = &logTail{}
		c.logs[path] = t
	}
	if name != "" {
		t.name = shortName(name)
	}
	to[path] = t.offset
}

// shortName is what stands in the brackets of a test id: a slug with all of it
// would leave half a line for what the job says.
func shortName(id string) string {
	if _, name, ok := strings.Cut(strings.TrimSuffix(id, "]"), "["); ok && name != "" {
		return name
	}
	return id
}

// print shows the whole lines of what was read from the given offsets on. What has
// been shown meanwhile, read by somebody else, is not shown again.
func (c *console) print(from map[string]int64, parts map[string][]byte) {
	for path, data := range parts {
		t := c.logs[path]
		if t == nil || t.offset != from[path] {
			continue
		}
		t.offset += int64(len(data))
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
}

// end shows a line that has no end.
func (c *console) end(path string) {
	if t := c.logs[path]; t != nil && len(t.rest) > 0 {
		c.line(t.name, t.rest)
		t.rest = nil
	}
}

// skip goes on at an offset further on, and says what it leaves out.
func (c *console) skip(path string, to int64) {
	if t := c.logs[path]; to > t.offset {
		c.end(path)
		c.line(t.name, fmt.Appendf(nil, "[ci-disagg: %d bytes left out; all of it is in %s]", to-t.offset, path))
		t.offset = to
	}
}

func (c *console) line(name string, line []byte) {
	text := plain.Inert(string(line))
	if c.prefix {
		text = name + " | " + text
	}
	fmt.Fprintln(c.out, text)
}
