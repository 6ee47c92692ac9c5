package baseline

import (
	"errors"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Config is this package's section of ci-disagg.yaml ("baseline:").
type Config struct {
	// Store is dir:PATH or postgres://…. Passwords belong into $PGPASSWORD,
	// ~/.pgpass or the environment variable that replaces this key.
	Store string `yaml:"store"`
	// Pins is a file of pinned values and thresholds, relative to the config.
	Pins string `yaml:"pins"`
	// Match are the properties of a run that identify its series beside case,
	// point and metric; empty = all that the plan knows. Changing the list begins
	// new histories.
	Match []string `yaml:"match"`
	// Branch is the branch that nightly runs belong to when CI does not say it,
	// and that pull requests are compared with; empty = main.
	Branch string `yaml:"branch"`
	// Window is how far back a history goes; 0 = 90 days.
	Window rundir.Duration `yaml:"window"`
	// Runs is how many runs of the window are used; 0 = what the rules need.
	Runs int `yaml:"runs"`
}

// Validate returns every problem of the section at once, each with its key.
func (c Config) Validate() error {
	var errs []error
	if c.Store != "" && !strings.HasPrefix(c.Store, "dir:") && !strings.HasPrefix(c.Store, "postgres://") && !strings.HasPrefix(c.Store, "postgresql://") {
		errs = append(errs, errors.New("store: give dir:PATH or postgres://user@host/database"))
	}
	if c.Runs < 0 {
		errs = append(errs, errors.New("runs: cannot be negative"))
	}
	return errors.Join(errs...)
}
