package machine

import (
	"bufio"
	"bytes"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// ParseLinks reads what `nvidia-smi nvlink -s` says, by UUID: a line for each card, and
// below it one for each of its links, with its speed or that it is inactive.
func ParseLinks(text []byte) map[string]rundir.NVLink {
	out := map[string]rundir.NVLink{}
	in := bufio.NewScanner(bytes.NewReader(text))
	in.Buffer(nil, maxLine)
	uuid := ""
	for in.Scan() {
		line := strings.TrimSpace(in.Text())
		if strings.HasPrefix(line, "GPU ") {
			_, after, _ := strings.Cut(line, "(UUID: ")
			uuid, _, _ = strings.Cut(after, ")")
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || uuid == "" || !strings.HasPrefix(name, "Link ") {
			continue
		}
		l := out[uuid]
		if speed, active := number(strings.TrimSpace(value)); active {
			l.Active++
			l.Speed = speed
		} else {
			l.Inactive++
		}
		out[uuid] = l
	}
	return out
}
