package script

import "strings"

// owned is what of an option belongs to ci-disagg: its long name, its short letter, and
// what to do instead.
type owned struct {
	long  string
	short byte
	mend  string
}

const (
	ownOutput = "what jobs print goes to files of the run directory: remove it"
	ownName   = "jobs and steps are found by their names: remove it; comment: takes what a site wants to see"
	ownPlace  = "jobs begin in their attempt's directory: workload.dir is where commands run"
	ownShape  = "nodes and tasks follow from the case: remove it"
	ownExport = "use the key export of the cluster"
)

// ownedBySbatch are options that a job cannot do with in another form than ours: it would
// not be found, watched or read.
func ownedBySbatch() []owned {
	return []owned{
		{"--output", 'o', ownOutput},
		{"--error", 'e', ownOutput},
		{"--input", 'i', ownOutput},
		{"--open-mode", 0, ownOutput},
		{"--job-name", 'J', ownName},
		{"--chdir", 'D', ownPlace},
		{"--wrap", 0, "the script is ours: workload.setup is shell text before each command"},
		{"--parsable", 0, "its answer is read as it comes: remove it"},
		{"--nodes", 'N', ownShape},
		{"--ntasks", 'n', ownShape},
		{"--ntasks-per-node", 0, ownShape},
		{"--requeue", 0, "a measurement is never continued: retry: starts a new attempt"},
		{"--export", 0, ownExport},
		{"--export-file", 0, ownExport},
		{"--get-user-env", 0, ownExport},
		{"--signal", 0, "use the key signal of the cluster"},
		{"--time", 't', "use budgets.job, or the key time of the cluster"},
		{"--dependency", 'd', "a job that waits for another is none that can be measured now: remove it"},
	}
}

// ownedBySrun are those of a step.
func ownedBySrun() []owned {
	return []owned{
		{"--output", 'o', ownOutput},
		{"--error", 'e', ownOutput},
		{"--input", 'i', ownOutput},
		{"--label", 'l', ownOutput},
		{"--job-name", 'J', ownName},
		{"--chdir", 'D', ownPlace},
		{"--nodes", 'N', ownShape},
		{"--ntasks", 'n', ownShape},
		{"--ntasks-per-node", 0, ownShape},
		{"--nodelist", 'w', ownShape},
		{"--distribution", 'm', ownShape},
		{"--kill-on-bad-exit", 'K', "the agent ends what has to end: remove it"},
		{"--wait", 'W', "the agent ends what has to end: remove it"},
		{"--multi-prog", 0, ownShape},
		{"--pty", 0, ownOutput},
		{"--jobid", 0, "steps belong to the attempt's own job: remove it"},
		{"--export", 0, ownExport},
		{"--export-file", 0, ownExport},
		{"--bcast", 0, "remove it: bash is on every node"},
	}
}

// ownedBy is what an option, also a shortened one as Slurm takes it, belongs to; nil =
// it is the site's.
func ownedBy(list []owned, opt string) *owned {
	name, _, _ := strings.Cut(opt, "=")
	const shortest = len("--xxx")
	for i, o := range list {
		switch {
		case strings.HasPrefix(opt, "--"):
			if name == o.long || len(name) >= shortest && strings.HasPrefix(o.long, name) {
				return &list[i]
			}
		case o.short != 0 && strings.HasPrefix(strings.TrimLeft(opt, "-HIkOQsv"), string(o.short)):
			return &list[i]
		}
	}
	return nil
}
