package machine

import (
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/mask"
)

// Set is a list of numbers as the kernel writes it: 0-3,8.
type Set map[int]bool

// maxSet bounds the numbers of a Set.
const maxSet = 1 << 16

// ParseSet reads a list; what is none is empty.
func ParseSet(text string) Set {
	out := Set{}
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		from, to, isRange := strings.Cut(part, "-")
		first, err := strconv.Atoi(strings.TrimSpace(from))
		if err != nil || first < 0 {
			continue
		}
		last := first
		if isRange {
			if last, err = strconv.Atoi(strings.TrimSpace(to)); err != nil {
				continue
			}
		}
		for n := first; n <= last && len(out) < maxSet; n++ {
			out[n] = true
		}
	}
	return out
}

// Ticks are the times of processors since boot, in the kernel's units.
type Ticks struct{ Steal, Total uint64 }

// ParseStat reads /proc/stat: the ticks of these processors, of all where cpus is empty.
func ParseStat(text string, cpus Set) (Ticks, bool) {
	var out Ticks
	seen := false
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 9 || !strings.HasPrefix(f[0], "cpu") {
			continue
		}
		if n, err := strconv.Atoi(f[0][3:]); (err == nil) != (len(cpus) > 0) || err == nil && !cpus[n] {
			continue
		}
		for i, v := range f[1:9] { // guests' time, behind it, is in user's
			n, err := strconv.ParseUint(v, 10, 64)
			if err != nil {
				return Ticks{}, false
			}
			out.Total += n
			if i == 7 {
				out.Steal += n
			}
		}
		seen = true
	}
	return out, seen
}

// Stolen is the part of the time between two moments that the hypervisor gave to others,
// in percent.
func Stolen(before, after Ticks) (float64, bool) {
	if after.Total <= before.Total || after.Steal < before.Steal {
		return 0, false
	}
	return 100 * float64(after.Steal-before.Steal) / float64(after.Total-before.Total), true
}

// Field is the value of "name: value" or "name = value" in a text of lines.
func Field(text, name string) string {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok {
			continue
		}
		rest = strings.TrimLeft(rest, " \t")
		if value, ok := strings.CutPrefix(rest, ":"); ok {
			return strings.TrimSpace(value)
		}
		if value, ok := strings.CutPrefix(rest, "="); ok {
			return strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return ""
}

// kept are how the names of variables begin that say how a machine is used.
var kept = []string{"NCCL_", "UCX_", "CUDA_", "NVSHMEM_", "NVIDIA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "TORCH_NCCL_"} //nolint:gochecknoglobals // a constant

// Variable reports whether a variable is kept: by an allow-list, and never one whose name
// looks like that of a secret.
func Variable(name string) bool {
	return !mask.Named(name) && slices.ContainsFunc(kept, func(k string) bool { return strings.HasPrefix(name, k) })
}
