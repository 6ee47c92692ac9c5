package script

import (
	"fmt"
	"slices"
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

// warning is the value of --signal, "" = none, and how long before the time limit the agent is told.
func (p Profile) warning() (value string, lead time.Duration, err error) {
	switch p.Signal {
	case "none":
		return "", 0, nil
	case "":
		return "B:" + DefaultSignal, defaultLead, nil
	}
	value = strings.ToUpper(p.Signal)
	value = strings.TrimPrefix(value, "B:")
	name, at, timed := strings.Cut(value, "@")
	seconds := uint64(60) // sbatch's own
	if timed {
		seconds, err = strconv.ParseUint(at, 10, 16)
	}
	// Any other one would end the agent, which takes these (agentSignals in cmd/ci-disagg).
	if err != nil || !slices.Contains([]string{"TERM", "INT", "HUP", "USR1", "15", "2", "1", "10"}, strings.TrimPrefix(name, "SIG")) {
		return "", 0, fmt.Errorf("%q is not TERM, INT, HUP or USR1 with @ and 0 to 65535 seconds, as %s, nor none", p.Signal, DefaultSignal)
	}
	return "B:" + value, time.Duration(seconds) * time.Second, nil //nolint:gosec // at most 65535
}
