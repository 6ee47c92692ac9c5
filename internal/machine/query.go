package machine

import (
	"bufio"
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// maxLine bounds one line of a text that is read.
const maxLine = 64 << 10

// Query is what `nvidia-smi -q` says.
type Query struct {
	Driver, CUDA string
	GPUs         []rundir.GPU // in its order, which is that of their indexes
}

// ParseQuery reads the text of `nvidia-smi -q`: lines of "name : value" whose indent says
// what they are part of. Names have changed with the drivers; each is known by all of its
// own. An error says that it is no such text.
func ParseQuery(text []byte) (Query, error) {
	var q Query
	t := tree{}
	var cards []tree
	in := bufio.NewScanner(bytes.NewReader(text))
	in.Buffer(nil, maxLine)
	var path []level
	for in.Scan() {
		line := strings.TrimRight(strings.ReplaceAll(in.Text(), "\t", "    "), " \r")
		name := strings.TrimLeft(line, " ")
		if name == "" || strings.HasPrefix(name, "=") {
			continue
		}
		indent := len(line) - len(name)
		name, value, _ := strings.Cut(name, " :")
		name = strings.TrimSpace(name)
		for len(path) > 0 && path[len(path)-1].indent >= indent {
			path = path[:len(path)-1]
		}
		if indent == 0 && strings.HasPrefix(name, "GPU ") {
			cards = append(cards, tree{"Bus Id": strings.TrimPrefix(name, "GPU ")})
			path = nil
			continue
		}
		path = append(path, level{indent, name})
		to := t
		if indent > 0 && len(cards) > 0 {
			to = cards[len(cards)-1]
		}
		to.put(path, strings.TrimSpace(value))
	}
	if err := in.Err(); err != nil {
		return q, err
	}
	q.Driver, q.CUDA = t.text("Driver Version"), t.text("CUDA Version")
	for i, c := range cards {
		q.GPUs = append(q.GPUs, c.card(i))
	}
	if len(q.GPUs) == 0 && q.Driver == "" {
		return q, errors.New("not what nvidia-smi -q prints")
	}
	return q, nil
}

type level struct {
	indent int
	name   string
}

// tree is a text by the paths of its names: "ECC Errors/Volatile/DRAM Correctable".
type tree map[string]string

// put keeps the first of several values: what comes later under the same names is a list.
func (t tree) put(path []level, value string) {
	names := make([]string, len(path))
	for i, l := range path {
		names[i] = l.name
	}
	at := strings.Join(names, "/")
	if _, ok := t[at]; !ok {
		t[at] = value
	}
}

// told is a value that says something, "" for the many ways to say nothing.
func told(v string) string {
	v = strings.TrimSpace(v)
	if strings.HasPrefix(v, "[") && strings.HasSuffix(v, "]") {
		v = v[1 : len(v)-1]
	}
	for _, nothing := range []string{"N/A", "Not Supported", "Not Available", "Not Found", "Unknown", "Unknown Error", "Insufficient Permissions", "GPU is lost", "GPU requires reset", "None"} {
		if strings.EqualFold(v, nothing) {
			return ""
		}
	}
	if strings.HasPrefix(v, "Requested functionality") {
		return ""
	}
	return v
}

// text is the first of these that says something.
func (t tree) text(paths ...string) string {
	for _, p := range paths {
		if v := told(t[p]); v != "" {
			return v
		}
	}
	return ""
}

// number is the first of these that says a number; what follows it is its unit.
func (t tree) number(paths ...string) (float64, bool) {
	for _, p := range paths {
		if v, ok := number(t[p]); ok {
			return v, true
		}
	}
	return 0, false
}

func number(v string) (float64, bool) {
	word, _, _ := strings.Cut(told(v), " ")
	n, err := strconv.ParseFloat(word, 64)
	if err != nil || n != n || n < -1e15 || n > 1e15 {
		return 0, false
	}
	return n, true
}

func (t tree) whole(paths ...string) int64 {
	n, _ := t.number(paths...)
	return int64(n)
}

// card is one GPU.
func (t tree) card(index int) rundir.GPU {
	g := rundir.GPU{
		Index: index, UUID: t.text("GPU UUID"), Name: t.text("Product Name"), Bus: t.text("PCI/Bus Id", "Bus Id"), VBIOS: t.text("VBIOS Version"),
		MemoryMiB: t.whole("FB Memory Usage/Total", "Memory Usage/Total"),
		MIG:       strings.ToLower(t.text("MIG Mode/Current")), ECC: strings.ToLower(t.text("ECC Mode/Current", "Ecc Mode/Current")),
		Clocks: rundir.Clocks{
			MaxSM: int(t.whole("Max Clocks/SM")), MaxMem: int(t.whole("Max Clocks/Memory")),
			AppSM: int(t.whole("Applications Clocks/Graphics")), AppMem: int(t.whole("Applications Clocks/Memory")),
		},
		Counters: t.counters(),
	}
	g.PowerLimit, _ = t.number("GPU Power Readings/Current Power Limit", "Power Readings/Current Power Limit", "Power Readings/Enforced Power Limit", "Power Readings/Power Limit")
	g.PowerDefault, _ = t.number("GPU Power Readings/Default Power Limit", "Power Readings/Default Power Limit")
	if state := t.text("Fabric/State"); state != "" {
		g.NVLink = &rundir.NVLink{Fabric: strings.ToLower(state)}
	}
	return g
}

// counters are what the card has counted. Older drivers speak of throttle reasons and
// tell no times; before Ampere, errors were of single or double bits.
func (t tree) counters() rundir.Counter {
	out := rundir.Counter{}
	set := func(key string, sum int64, ok bool) {
		if ok {
			out[key] = sum
		}
	}
	for name, key := range map[string]string{
		"SW Power Capping": rundir.CountPowerCap, "HW Power Braking": rundir.CountPowerBrake, "Sync Boost": rundir.CountSyncBoost,
		"SW Thermal Slowdown": rundir.CountThermal, "HW Thermal Slowdown": rundir.CountThermalHW,
	} {
		n, ok := t.number("Clocks Event Reasons Counters/"+name, "Clocks Throttle Reasons Counters/"+name)
		set(key, int64(n), ok)
	}
	for section, keys := range map[string][2]string{
		"Volatile/": {rundir.CountCorrected, rundir.CountUncorrected}, "Aggregate/": {rundir.CountCorrectedAll, rundir.CountUncorrectedAll},
	} {
		for i, kind := range []string{" Correctable", " Uncorrectable"} {
			sum, ok := t.sum(func(path string) bool {
				for _, ecc := range []string{"ECC Errors/", "Ecc Errors/"} {
					if rest, is := strings.CutPrefix(path, ecc+section); is {
						return strings.Contains(rest, kind) || rest == []string{"Single Bit/Total", "Double Bit/Total"}[i]
					}
				}
				return false
			})
			set(keys[i], sum, ok)
		}
	}
	sum, ok := t.sum(func(path string) bool {
		return path == "Retired Pages/Single Bit ECC" || path == "Retired Pages/Double Bit ECC"
	})
	set(rundir.CountRetired, sum, ok)
	sum, ok = t.sum(func(path string) bool {
		return path == "Remapped Rows/Correctable Error" || path == "Remapped Rows/Uncorrectable Error"
	})
	set(rundir.CountRemapped, sum, ok)
	n, ok := t.number("PCI/Replays Since Reset", "PCI/Replays since reset")
	set(rundir.CountReplays, int64(n), ok)
	return out
}

// sum adds the numbers at those paths; whether there was one is the second value.
func (t tree) sum(is func(path string) bool) (sum int64, ok bool) {
	for path, v := range t {
		if !is(path) {
			continue
		}
		if n, said := number(v); said {
			sum, ok = sum+int64(n), true
		}
	}
	return sum, ok
}
