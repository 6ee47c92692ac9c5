package slurm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// fakes puts scripted commands on a PATH of their own. They replay recorded text
// where a real Slurm cannot be made to do what is needed. $REC is the directory of
// the recordings, $LOG a file that calls are noted in.
func fakes(t *testing.T, o Options, env []string, scripts map[string]string) (*Client, func() string) {
	t.Helper()
	dir := t.TempDir()
	rec, err := filepath.Abs(filepath.Join("..", "..", "..", "testdata", "slurm-output", "22.05.8"))
	require.NoError(t, err)
	log := filepath.Join(dir, "calls")
	for name, body := range scripts {
		text := "#!/bin/bash\necho \"" + name + " $*\" >>" + log + "\nREC=" + rec + " LOG=" + log + "\n" + body + "\n"
		require.NoError(t, rundir.WriteFile(filepath.Join(dir, name), []byte(text), rundir.ExecMode))
	}
	env = append([]string{"PATH=" + dir + ":/usr/bin:/bin"}, env...)
	return New(host.NewHere(env), o), func() string {
		data, _ := os.ReadFile(log)
		return string(data)
	}
}

func TestSubmitAnswers(t *testing.T) {
	t.Parallel()
	sub := Submission{Script: "/x/job.sh", Dir: "/tmp", Name: "cid-1"}
	refused := new(CallError)
	ambiguous := new(AmbiguousError)
	for name, tc := range map[string]struct {
		sbatch string
		want   Job
		as     any
		check  func(*testing.T)
	}{
		"id":                 {"echo 4711", Job{ID: "4711"}, nil, nil},
		"id and cluster":     {"echo '4711;gb200'", Job{ID: "4711", Cluster: "gb200"}, nil, nil},
		"chatter on stderr":  {"echo 'sbatch: lua: hello' >&2; echo 4711", Job{ID: "4711"}, nil, nil},
		"late":               {"sleep 1; echo 4711", Job{ID: "4711"}, nil, nil},
		"nothing on stdout":  {"exit 0", Job{}, &ambiguous, nil},
		"killed":             {"kill -9 $$", Job{}, &ambiguous, nil},
		"controller is away": {"echo 'sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)' >&2; exit 1", Job{}, &ambiguous, nil},
		"socket timed out":   {"echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; exit 1", Job{}, &ambiguous, nil},
		"munge is away": {
			"echo 'sbatch: error: Munge encode failed: Failed to access \"/run/munge/munge.socket.2\": No such file or directory (retrying ...)' >&2; " +
				"echo 'sbatch: error: slurm_send_node_msg: auth_g_create: REQUEST_SUBMIT_BATCH_JOB has authentication error' >&2; " +
				"echo 'sbatch: error: Batch job submission failed: Protocol authentication error' >&2; exit 1",
			Job{},
			&refused,
			func(t *testing.T) { require.True(t, refused.Unauthenticated()) },
		},
		"munge is away when the answer comes": {
			"echo 'sbatch: error: auth_g_verify: RESPONSE_SUBMIT_BATCH_JOB has authentication error: Unspecified error' >&2; " +
				"echo 'sbatch: error: Batch job submission failed: Protocol authentication error' >&2; exit 1",
			Job{},
			&ambiguous,
			nil,
		},
		"standby": {
			"echo 'sbatch: error: Batch job submission failed: Slurm backup controller in standby mode' >&2; exit 1",
			Job{},
			&refused,
			func(t *testing.T) { require.True(t, refused.Standby()) },
		},
		"invalid node": {
			"echo 'sbatch: error: Batch job submission failed: Invalid node name specified' >&2; exit 1",
			Job{},
			&refused,
			func(t *testing.T) { require.True(t, refused.InvalidNode()) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := fakes(t, Options{}, nil, map[string]string{"sbatch": tc.sbatch})
			j, err := c.Submit(context.Background(), sub)
			if tc.as == nil {
				require.NoError(t, err)
			} else {
				require.ErrorAs(t, err, tc.as)
				require.Equal(t, tc.as == &ambiguous, errors.As(err, new(*AmbiguousError)))
			}
			require.Equal(t, tc.want, j)
			if tc.check != nil {
				tc.check(t)
			}
			require.Equal(t, 1, c.Calls()["sbatch"], "a submission is never repeated here")
		})
	}
	c := New(host.NewHere([]string{"PATH=" + t.TempDir()}), Options{})
	_, err := c.Submit(context.Background(), sub)
	require.ErrorIs(t, err, host.ErrNotStarted)
	c, _ = fakes(t, Options{}, nil, map[string]string{"sbatch": "echo 7"})
	long := sub
	long.Env = []string{"TOKEN=" + strings.Repeat("x", 256<<10)} // more than execve takes
	_, err = c.Submit(context.Background(), long)
	require.ErrorIs(t, err, host.ErrNotStarted)
	require.NotErrorAs(t, err, &ambiguous, "no job to look for can exist")
}

func TestHangingQueueSaysNothing(t *testing.T) {
	t.Parallel()
	c, _ := fakes(t, Options{Timeout: 300 * time.Millisecond}, nil, map[string]string{"squeue": "cat $REC/squeue.busy; sleep 600"})
	begun := time.Now()
	rows, err := c.Queue(context.Background(), "")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Nil(t, rows, "what a killed call has printed is no answer")
	require.Less(t, time.Since(begun), 5*time.Minute)
	require.Equal(t, 1, c.TotalCalls())
}

func TestEnvironmentIsScrubbed(t *testing.T) {
	t.Parallel()
	env := []string{
		"SLURM_CONF=/some/slurm.conf", "SLURM_JWT=token", "SLURM_JOB_ID=9", "SBATCH_PARTITION=gpu", "SQUEUE_FORMAT=%i", "SACCT_FORMAT=x", "SCANCEL_INTERACTIVE=1",
		"JENKINS_SERVER_COOKIE=durable-1", "JENKINS_NODE_COOKIE=2", "BUILD_ID=3", "BUILD_TAG=kept", "HOME=/h",
		"CI_DISAGG_STORE=postgres://u:p@h/db", "PGPASSWORD=p", "PGPASSFILE=/p", "PGSERVICEFILE=/s", "PGSSLPASSWORD=p", "PGHOST=kept",
	}
	script := `env | sort >$LOG.env; `
	c, log := fakes(t, Options{}, env, map[string]string{"sbatch": script + "echo 1", "squeue": script + "cat $REC/squeue.busy", "scancel": script})
	read := func() string {
		_ = log()
		data, err := os.ReadFile(strings.Fields(c.envFile(t))[0])
		require.NoError(t, err)
		return string(data)
	}
	_, err := c.Submit(context.Background(), Submission{Script: "job.sh", Name: "x", Env: []string{"TOKEN=secret value"}})
	require.NoError(t, err)
	got := read()
	require.Contains(t, got, "SLURM_CONF=/some/slurm.conf\n")
	require.Contains(t, got, "SLURM_JWT=token\n", "without munge there is no other way in")
	require.Contains(t, got, "BUILD_TAG=kept\n")
	require.Contains(t, got, "TOKEN=secret value\n")
	for _, gone := range []string{"SLURM_JOB_ID", "SBATCH_", "SQUEUE_", "SACCT_", "SCANCEL_", "COOKIE", "BUILD_ID", "SLURM_TIME_FORMAT", "CI_DISAGG_STORE", "PGPASS", "PGSERVICEFILE", "PGSSLPASSWORD"} {
		require.NotContains(t, got, gone, "the job's environment starts from this")
	}
	_, err = c.Queue(context.Background(), "")
	require.NoError(t, err)
	require.Contains(t, read(), "SLURM_TIME_FORMAT=%s\n")
	require.NoError(t, c.Cancel(context.Background(), "", "7"))
	require.NotContains(t, read(), "COOKIE")
	require.NotContains(t, log(), "secret", "no secret in an argument")
}

// envFile is where the fakes leave their environment.
func (c *Client) envFile(t *testing.T) string {
	t.Helper()
	res, err := c.host.Run(context.Background(), host.Cmd{Argv: []string{"sh", "-c", `echo "${PATH%%:*}/calls.env"`}})
	require.NoError(t, err)
	return string(res.Stdout)
}

func TestAccountingDropsUnknownColumnsAndKnowsWhenItIsOff(t *testing.T) {
	t.Parallel()
	c, log := fakes(t, Options{}, nil, map[string]string{"sacct": `case "$*" in *Restarts*) head -n1 $REC/sacct.bad-field >&2; exit 1;; esac; cat $REC/sacct.all`})
	for range 2 {
		rows, err := c.Accounting(context.Background(), "", []string{"11", "12"}, time.Unix(1795288270, 0))
		require.NoError(t, err)
		require.NotEmpty(t, rows)
	}
	require.Equal(t, 3, strings.Count(log(), "sacct "), "asked without the column from then on")
	require.Contains(t, log(), "-j 11,12", "one call for all jobs")
	require.Contains(t, log(), "sacct -X ", "what roles call their steps is none of our business")
	require.Contains(t, log(), "-S 2026-11-21T19:11:10")

	c, log = fakes(t, Options{}, nil, map[string]string{"sacct": "echo 'Slurm accounting storage is disabled' >&2; exit 1"})
	for range 3 {
		_, err := c.Accounting(context.Background(), "", []string{"11"}, time.Unix(0, 0))
		require.ErrorIs(t, err, ErrNoAccounting)
	}
	require.True(t, c.AccountingOff())
	require.Equal(t, 1, strings.Count(log(), "sacct "))

	c, _ = fakes(t, Options{}, nil, map[string]string{"sacct": "echo 'sacct: error: slurm_persist_conn_open_without_init: failed to open persistent connection to host:localhost:6819: Connection refused' >&2; exit 1"})
	_, err := c.Accounting(context.Background(), "", []string{"11"}, time.Unix(0, 0))
	require.Error(t, err)
	require.False(t, c.AccountingOff(), "slurmdbd being down is not accounting being off")
}

func TestControlAnswersUnknown(t *testing.T) {
	t.Parallel()
	c, _ := fakes(t, Options{}, nil, map[string]string{"scontrol": `case "$*" in *424242*) head -n1 $REC/scontrol.unknown >&2; exit 1;; *) cat $REC/scontrol.limit;; esac`})
	j, err := c.Control(context.Background(), Job{ID: "424242"})
	require.NoError(t, err)
	require.Nil(t, j)
	j, err = c.Control(context.Background(), Job{ID: "14"})
	require.NoError(t, err)
	require.Equal(t, Timeout, j.State)
	_, err = c.Control(context.Background(), Job{ID: "15"})
	require.Error(t, err, "an answer about another job")
	_, err = c.Control(context.Background(), Job{ID: "15; rm -rf /"})
	require.Error(t, err)
}

func TestControlKnowsTheRoomOfAPartition(t *testing.T) {
	t.Parallel()
	const waits = "JobId=7 JobName=cid-x JobState=%s Reason=%s Partition=batch,wide NumNodes=9-9 NumCPUs=9"
	room := func(state, reason string) (asks, most int, calls string) {
		c, log := fakes(t, Options{}, nil, map[string]string{"scontrol": `case "$*" in
*"partition batch"*) echo "PartitionName=batch AllowAccounts=ALL MaxNodes=UNLIMITED MaxTime=UNLIMITED State=UP TotalCPUs=16 TotalNodes=4";;
*"partition wide"*) echo "PartitionName=wide AllowAccounts=ALL MaxNodes=6 State=UP TotalNodes=16";;
*) echo "` + fmt.Sprintf(waits, state, reason) + `";; esac`})
		j, err := c.Control(context.Background(), Job{ID: "7"})
		require.NoError(t, err)
		return j.Asks, j.Room, log()
	}
	asks, most, _ := room("PENDING", PartitionNodeLimit)
	require.Equal(t, []int{9, 6}, []int{asks, most})
	_, most, calls := room("PENDING", "Resources")
	require.Zero(t, most)
	require.NotContains(t, calls, "partition")
}

func TestCancelIsRetriedAndBounded(t *testing.T) {
	t.Parallel()
	o := Options{Cancel: time.Minute} // a scancel that is cut off has been called all the same
	c, log := fakes(t, o, nil, map[string]string{"scancel": `[ "$(wc -l <$LOG)" -ge 3 ] || { echo 'scancel: error: Unable to contact slurm controller' >&2; exit 1; }`})
	require.NoError(t, c.Cancel(context.Background(), "gb200", "7", "8"))
	require.Equal(t, strings.Repeat("scancel -M gb200 7 8\n", 3), log())
	c, _ = fakes(t, o, nil, map[string]string{"scancel": "echo 'scancel: error: Kill job error on job id 7: Job/step already completing or completed' >&2; exit 1"})
	require.NoError(t, c.Cancel(context.Background(), "", "7"))
	c, log = fakes(t, o, nil, map[string]string{"scancel": `[ "$(wc -l <$LOG)" -ge 2 ] || { echo 'scancel: error: Kill job error on job id 7: Invalid job id specified
scancel: error: Kill job error on job id 8: Socket timed out on send/recv operation' >&2; exit 1; }`})
	require.NoError(t, c.Cancel(context.Background(), "", "7", "8"))
	require.Equal(t, strings.Repeat("scancel 7 8\n", 2), log(), "one job that is gone says nothing of the other")
	c, log = fakes(t, o, nil, map[string]string{"scancel": ""})
	require.NoError(t, c.CancelName(context.Background(), "", "cid-x"))
	require.Equal(t, "scancel --name=cid-x\n", log())
	require.Error(t, c.CancelName(context.Background(), "", "a b"))
	require.Error(t, c.Cancel(context.Background(), "", "7", "--user=me"))
}

func TestFind(t *testing.T) {
	t.Parallel()
	name := "cid-0123456789ab-waits-r0a1-00000008"
	c, log := fakes(t, Options{}, nil, map[string]string{"squeue": "cat $REC/squeue.busy", "sacct": "cat $REC/sacct.nothing"})
	j, ok, err := c.Find(context.Background(), Wanted{Name: name, Since: time.Now()})
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "18", j.ID)
	require.NotContains(t, log(), "sacct")
	require.Contains(t, log(), "squeue -a ", "a hidden partition hides jobs from their own user")
	_, ok, err = c.Find(context.Background(), Wanted{Name: "cid-other", Since: time.Now()})
	require.NoError(t, err)
	require.False(t, ok)
	c, _ = fakes(t, Options{}, nil, map[string]string{"squeue": "cat $REC/squeue.busy", "sacct": "exit 1"})
	_, _, err = c.Find(context.Background(), Wanted{Name: "cid-other", Since: time.Now()})
	require.Error(t, err, "an accounting that does not answer is no proof that there is no job")
}
