package script

import (
	"strconv"
	"strings"
	"time"
)

// DefaultSignal is sent to the batch script, which is the agent, ahead of the
// time limit: Slurm may send it up to 60 s early.
const (
	DefaultSignal = "TERM@120"
	defaultLead   = 120 * time.Second
)

// warning is the value of --signal, "" = none, and how long before the time limit the agent is told. What sbatch makes
// of a value is its own affair.
func (p Profile) warning() (value string, lead time.Duration) {
	switch p.Signal {
	case "none":
		return "", 0
	case "":
		return "B:" + DefaultSignal, defaultLead
	}
	value = strings.TrimPrefix(strings.ToUpper(p.Signal), "B:")
	lead = time.Minute // sbatch's own
	if _, at, timed := strings.Cut(value, "@"); timed {
		seconds, _ := strconv.ParseUint(at, 10, 16)
		lead = time.Duration(seconds) * time.Second //nolint:gosec // at most 65535
	}
	return "B:" + value, lead
}
