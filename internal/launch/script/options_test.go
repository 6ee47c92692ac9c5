package script

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Options that would take the job's output, name, place or shape out of our hands are refused, in every spelling that
// Slurm takes, with what to do instead; those of the site are not.
func TestOwnedOptions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		key  string
		opts []string
		says string // "" = the option is the site's
	}{
		{"sbatch", []string{"--output=/dev/null", "-o/dev/null", "-o", "--outp=/x", "-Qo/x", "--error=x", "-ex", "--open-mode=truncate"}, ownOutput},
		{"sbatch", []string{"--job-name=x", "-Jx", "--job=x"}, ownName},
		{"sbatch", []string{"--chdir=/tmp", "-D/tmp"}, ownPlace},
		{"sbatch", []string{"--wrap=id"}, "the script is ours"},
		{"sbatch", []string{"--parsable"}, "its answer is read"},
		{"sbatch", []string{"-N4", "--nodes=4", "-n4"}, ownShape},
		{"sbatch", []string{"--export=ALL", "--export-file=x", "--get-user-env"}, ownExport},
		{"sbatch", []string{"--requeue"}, "never continued"},
		{"sbatch", []string{"-t1", "--time=1", "--signal=USR1@1", "-dafter:1"}, "clusters.c.sbatch"},
		{"sbatch", []string{"--constraint=gpu", "-Cgpu", "--mem=0", "--exclusive", "--gres=nic:1", "--comment=x", "--time-min=1", "--licenses=a", "--nice=5"}, ""},
		{"srun", []string{"-o/x", "--output=x", "-l", "--label", "--pty", "-e/x"}, ownOutput},
		{"srun", []string{"-K0", "--kill-on-bad-exit=0", "-W5", "--wait=5"}, "the agent ends"},
		{"srun", []string{"-wn1", "--nodelist=n1", "-n2", "--multi-prog", "-mblock"}, ownShape},
		{"srun", []string{"--jobid=7"}, "own job"},
		{"srun", []string{"--cpu-bind=none", "--mpi=pmix", "--overlap", "--mem=0", "--network=x", "-c8"}, ""},
	}
	for _, tt := range tests {
		for _, opt := range tt.opts {
			p := Profile{}
			if tt.key == "sbatch" {
				p.Sbatch = []string{opt}
			} else {
				p.Srun = []string{opt}
			}
			err := p.Validate("c")
			if tt.says == "" {
				require.NoError(t, err, opt)
				continue
			}
			require.ErrorContains(t, err, tt.says, opt)
			require.ErrorContains(t, err, "clusters.c."+tt.key, opt)
		}
	}
	err := Profile{Container: &Container{Image: "x", Args: []string{"--output=x"}}}.Validate("c")
	require.ErrorContains(t, err, `"--output=x" is no --container-… option`)
}
