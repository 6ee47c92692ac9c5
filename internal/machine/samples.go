package machine

import (
	"strconv"
	"strings"
)

// sampled are the columns of a sample, as `nvidia-smi --query-gpu` names them.
const sampled = "index,clocks.sm,clocks.mem,power.draw,temperature.gpu,utilization.gpu,memory.used"

// SampleQueries are the arguments of --query-gpu that make nvidia-smi sample, the best
// first: why a clock is what it is has two names, and the oldest drivers have none.
func SampleQueries() []string {
	return []string{sampled + ",clocks_event_reasons.active", sampled + ",clocks_throttle_reasons.active", sampled}
}

// Sample is one card at one moment. What the card does not tell is nil.
type Sample struct {
	GPU     int
	SM      *float64 // MHz
	Mem     *float64 // MHz
	Power   *float64 // W
	Temp    *float64 // °C
	Util    *float64 // %
	Used    *float64 // MiB
	Reasons string   // hexadecimal, "" = not told
}

// Columns are the names at the head of a table of samples.
type Columns []string

// ParseColumns reads the head that nvidia-smi prints with --format=csv: names, some with
// a unit behind them. A line that is none is not ok: it may say what is wrong.
func ParseColumns(line string) (c Columns, ok bool) {
	for f := range strings.SplitSeq(line, ",") {
		name, _, _ := strings.Cut(strings.TrimSpace(f), " ")
		c = append(c, name)
	}
	return c, len(c) > 1 && c[0] == "index"
}

// Sample reads one line of the table; it is not ok if it is not of it.
func (c Columns) Sample(line string) (s Sample, ok bool) {
	f := strings.Split(line, ",")
	if len(f) != len(c) {
		return s, false
	}
	index, err := strconv.Atoi(strings.TrimSpace(f[0]))
	if err != nil || index < 0 {
		return s, false
	}
	s.GPU = index
	for i, name := range c {
		if n, said := number(f[i]); said {
			s.set(name, n)
		}
		if strings.HasSuffix(name, "_reasons.active") {
			v := told(f[i])
			if _, err := strconv.ParseUint(strings.TrimPrefix(v, "0x"), 16, 64); err == nil {
				s.Reasons = v
			}
		}
	}
	return s, true
}

func (s *Sample) set(name string, n float64) {
	switch name {
	case "clocks.current.sm", "clocks.sm":
		s.SM = &n
	case "clocks.current.memory", "clocks.mem":
		s.Mem = &n
	case "power.draw":
		s.Power = &n
	case "temperature.gpu":
		s.Temp = &n
	case "utilization.gpu":
		s.Util = &n
	case "memory.used":
		s.Used = &n
	}
}

// ProcessQuery is the argument of --query-compute-apps whose lines ParseProcesses reads.
const ProcessQuery = "gpu_uuid,pid,process_name"

// Process is one process that computes on a card.
type Process struct {
	UUID string
	PID  int
	Name string
}

// ParseProcesses reads what nvidia-smi prints for ProcessQuery with --format=csv,noheader.
func ParseProcesses(text string) []Process {
	var out []Process
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSpace(line), ", ", 3)
		if len(f) != 3 {
			continue
		}
		if pid, err := strconv.Atoi(strings.TrimSpace(f[1])); err == nil && pid > 0 {
			out = append(out, Process{UUID: strings.TrimSpace(f[0]), PID: pid, Name: told(f[2])})
		}
	}
	return out
}
