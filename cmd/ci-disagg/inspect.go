package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	clusterhost "github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/prpolicy"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/runview"
)

// newLookCmds are the verbs that look at runs and change nothing.
func newLookCmds(h host) []*cobra.Command {
	return runview.Env{
		Stdout: h.stdout, Now: h.now,
		AddConfig: func(f *pflag.FlagSet, config *string) { addConfigFlag(f, config, "config file") },
		AddFind: func(f *pflag.FlagSet, config, runID *string) {
			addRunIDFlag(f, runID)
			addConfigFlag(f, config, "config that the run is looked up with")
		},
		RunsDir: func(config, named string) (string, error) {
			if named != "" {
				return absPath(h, named)
			}
			cfg, err := loadConfig(h, config)
			if err != nil {
				return "", err
			}
			return runsDir(h, cfg)
		},
		Find: func(config, runID string, args []string) (rundir.Dir, error) {
			return findFlags{runID}.find(h, config, args)
		},
		Far: func(config string, dir rundir.Dir) clusterhost.Host {
			d, err := driverOf(h, dir, own(h, config, prpolicy.Flags{}, ""))
			if err != nil || d.Profile.AgentDir == "" {
				return nil
			}
			return d.Host
		},
	}.Commands()
}
