package script

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
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

// The agent takes the signal that warns it of the job's time limit, and knows how early that comes.
func TestSignal(t *testing.T) {
	t.Parallel()
	for value, lead := range map[string]time.Duration{
		"": 0, "none": 0, "TERM@120": 0, "USR1@60": 0, "TERM@600": 10 * time.Minute, "B:SIGUSR1@3600": time.Hour,
		"int": 0, "b:sighup@121": 121 * time.Second, "15@65535": 65535 * time.Second, "TERM": 0, "TERM@0": 0,
	} {
		require.NoError(t, Profile{Signal: value}.Validate("c"), value)
		require.Equal(t, rundir.Duration(lead), Apply(rundir.Plan{}, Profile{Signal: value}).Warned, value)
		require.Zero(t, Apply(rundir.Plan{LocalAgent: true}, Profile{Signal: value}).Warned, "a local job gets none")
		for _, o := range sbatchOptions(rundir.Plan{}, Profile{Signal: value}, Attempt{Dir: "/x"}) {
			require.NotContains(t, strings.ToUpper(o), "B:B:")
		}
	}
	require.ErrorContains(t, Profile{Signal: "TERM@60\n#SBATCH -x"}.Validate("c"), "clusters.c.signal")
	for value, want := range map[string]string{"USR2@120": "B:USR2@120", "quit@300": "B:QUIT@300", "TERM@2m": "B:TERM@2M"} { // sbatch judges it
		require.NoError(t, Profile{Signal: value}.Validate("c"), value)
		require.Contains(t, strings.Join(sbatchOptions(rundir.Plan{}, Profile{Signal: value}, Attempt{Dir: "/x"}), " "), want)
	}
}
