package pipeline

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Machine is the section machine: how closely machines are looked at, and from where on
// one makes a measurement suspect.
type Machine struct {
	Telemetry            rundir.Duration `yaml:"telemetry"` // between two samples; 0 = none
	rundir.MachineLimits `yaml:",inline"`
}

const (
	defaultTelemetry = 2 * time.Second
	leastTelemetry   = 500 * time.Millisecond // nvidia-smi's own numbers are no newer
)

func defaultMachine() Machine {
	return Machine{Telemetry: rundir.Duration(defaultTelemetry), MachineLimits: rundir.DefaultMachineLimits()}
}

// versionName is what a version may be called: it is part of names in reports.
var versionName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// seeing is what the config says is to be found out.
func (c Config) seeing() rundir.Seeing {
	out := rundir.Seeing{Telemetry: c.Machine.Telemetry, Limits: c.Machine.MachineLimits}
	for _, name := range slices.Sorted(maps.Keys(c.Workload.Versions)) {
		out.Versions = append(out.Versions, rundir.EnvVar{Name: name, Value: c.Workload.Versions[name]})
	}
	return out
}

// validateSeeing returns every problem of machine: and workload.versions.
func (c Config) validateSeeing(doc strictyaml.Document) (errs []error) {
	bad := func(path, format string, args ...any) { errs = append(errs, doc.Problem(path, format, args...)) }
	if t := c.Machine.Telemetry.D(); t != 0 && t < leastTelemetry {
		bad("machine.telemetry", "%v is too often: at least %v, or 0 for none", t, leastTelemetry)
	}
	m := c.Machine.MachineLimits
	for _, l := range []struct {
		key  string
		part float64
	}{{"thermal", m.Thermal}, {"power_brake", m.PowerBrake}, {"power_cap", m.PowerCap}, {"clock", m.Clock}, {"steal", m.Steal}} {
		if !(l.part >= 0 && l.part <= 1) {
			bad("machine."+l.key, "%g is no part: a number from 0 (never) to 1, as 0.05 for 5 %%", l.part)
		}
	}
	for _, n := range []counted{{"machine.ecc", int64(m.ECC)}, {"machine.neighbours", int64(m.Neighbours)}} {
		if n.value < 0 {
			bad(n.key, "%d is negative", n.value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Workload.Versions)) {
		if !versionName.MatchString(name) {
			bad("workload.versions", "%q is no name: letters, digits, _, . and -", name)
		}
		if command := c.Workload.Versions[name]; strings.TrimSpace(command) == "" {
			bad(fmt.Sprintf("workload.versions.%s", name), "there is no command that says it")
		}
	}
	return errs
}
