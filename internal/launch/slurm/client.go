package slurm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/proc"
)

// Options of a client.
type Options struct {
	Timeout time.Duration // per call; 0 = 30 s. A call that is cut off says nothing
	// Cancel bounds the first scancel, since Jenkins gives an aborted process about five seconds
	// (docs/facts/jenkins.md#five-seconds); each further one may take twice as long. 0 = 3 s.
	Cancel time.Duration
	Log    *slog.Logger // every call at debug level; nil = none
}

// Client calls Slurm. It is safe for concurrent use.
type Client struct {
	host host.Host
	opts Options

	mu       sync.Mutex
	calls    map[string]int // by command
	noFields map[string]bool
	noAcct   bool
}

// New makes a client of the Slurm that the host's commands reach.
func New(h host.Host, o Options) *Client {
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Cancel <= 0 {
		o.Cancel = 3 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{host: h, opts: o, calls: map[string]int{}, noFields: map[string]bool{}}
}

// Calls is how often each command has been run.
func (c *Client) Calls() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.calls)
}

// TotalCalls is the sum of Calls.
func (c *Client) TotalCalls() int {
	n := 0
	for _, v := range c.Calls() {
		n += v
	}
	return n
}

// CallError is a Slurm command that ran and refused.
type CallError struct {
	Command string // base name
	Exit    int
	Text    string // stderr, shortened
}

func (e *CallError) Error() string {
	return fmt.Sprintf("%s: exit %d: %s", e.Command, e.Exit, e.Text)
}

// has reports whether the command's words contain one of the texts, whatever the
// case: releases differ in capitals.
func (e *CallError) has(texts ...string) bool {
	low := strings.ToLower(e.Text)
	return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(low, strings.ToLower(t)) })
}

// only reports whether every line of the command's words contains one of the texts:
// a command about several jobs may refuse one of them and not have reached another.
func (e *CallError) only(texts ...string) bool {
	for line := range strings.Lines(e.Text) {
		one := CallError{Text: line}
		if strings.TrimSpace(line) != "" && !one.has(texts...) {
			return false
		}
	}
	return e.Text != ""
}

// UnknownJob reports whether slurmctld does not know the job (any more): an answer,
// though the command failed.
func (e *CallError) UnknownJob() bool { return e.has("Invalid job id") }

// Unanswered reports whether slurmctld gave no answer, so nothing is known: it may or
// may not have done what was asked.
func (e *CallError) Unanswered() bool {
	return e.has("Socket timed out", "Unable to contact slurm controller", "Connection refused", "Connection reset",
		"Zero Bytes were transmitted", "Transport endpoint", "Send/recv", "Communication connection failure", "Message receive failure",
		"Unexpected message received", "Connection timed out")
}

// Unauthenticated reports whether Slurm's authentication (munge) failed on the way:
// as transient as a controller that is away. Where it is not the command that could
// not sign its request, it is not known what became of that.
func (e *CallError) Unauthenticated() bool {
	return e.has("authentication error", "Invalid authentication credential", "Munge encode failed", "Munge decode failed", "auth_g_create", "auth_g_verify")
}

// unsent reports whether the request could not be signed, and so never left.
func (e *CallError) unsent() bool { return e.has("Munge encode failed", "auth_g_create") }

// Standby reports whether only a backup controller answered, which takes over in a
// while (SlurmctldTimeout, 120 s by default).
func (e *CallError) Standby() bool { return e.has("standby mode") }

// Busy reports whether the controller is there but wants to be asked later.
func (e *CallError) Busy() bool {
	return e.has("temporarily unable to accept job", "Resource temporarily unavailable", "try again later", "Job violates accounting/QOS policy (job submit limit",
		"MaxSubmitJob", "queue is full", "Slurm temporarily unable")
}

// InvalidNode reports whether a node named in --exclude or --nodelist does not exist.
func (e *CallError) InvalidNode() bool { return e.has("Invalid node name") }

// ErrNoAccounting is the answer of sacct on a cluster without accounting.
var ErrNoAccounting = errors.New("slurm accounting is disabled")

// scrub lists the variables that Slurm's commands would take as options or as
// the job they run in, those by which Jenkins finds the processes of a build
// that it aborts, and those that open the baseline store: sbatch hands what it
// sees on to the job. SLURM_CONF and SLURM_CONF_SERVER say where the cluster is,
// and SLURM_JWT lets in a client without a munge key (job.sh drops it).
func scrub() []string {
	return append([]string{
		"SBATCH_*", "SLURM_*", "SQUEUE_*", "SACCT_*", "SCANCEL_*", "SINFO_*", "SCONTROL_*", "SRUN_*", "SALLOC_*",
		"JENKINS_SERVER_COOKIE", "JENKINS_NODE_COOKIE", "JENKINS_COOKIE", "HUDSON_COOKIE", "HUDSON_SERVER_COOKIE", "BUILD_ID",
	}, proc.StoreVars()...)
}

func keepVars() []string { return []string{"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT"} }

// call runs one command. The error is a *CallError when the command answered
// with a non-zero exit; any other error means that there was no answer.
func (c *Client) call(ctx context.Context, cmd host.Cmd) (string, error) {
	name := cmd.Argv[0]
	c.mu.Lock()
	c.calls[name]++
	c.mu.Unlock()
	cmd.Unset, cmd.Keep = scrub(), keepVars()
	if cmd.Timeout == 0 {
		cmd.Timeout = c.opts.Timeout
	}
	res, err := c.host.Run(ctx, cmd)
	c.opts.Log.Debug("slurm call", "argv", cmd.Argv, "exit", res.Exit, "err", err)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if res.Exit != 0 {
		return "", &CallError{Command: name, Exit: res.Exit, Text: shorten(res.Stderr)}
	}
	return string(res.Stdout), nil
}

func shorten(b []byte) string {
	const most = 2000
	s := strings.TrimSpace(strings.ToValidUTF8(string(b), "?"))
	if len(s) > most {
		s = s[:most] + " …"
	}
	return s
}

// queryEnv makes times independent of the host's settings.
func queryEnv() []string { return []string{"SLURM_TIME_FORMAT=%s", "TZ=UTC0", "LC_ALL=C"} }

// queueRow begins each row of squeue and queueSep separates its columns: names
// and commands of other jobs in the same list may hold anything else, line breaks
// among it.
const (
	queueRow = "\x1e"
	queueSep = "\x1f"
)

func queueFormat() string {
	return queueRow + strings.Join([]string{"%i", "%j", "%T", "%r", "%S", "%V", "%D", "%N", "%u", "%o"}, queueSep)
}

// Queue lists this user's jobs, those that ended within MinJobAge (300 s by
// default) included: one call, whatever the number of jobs. A job that is not in
// the answer is unknown to slurmctld, which does not mean that it is finished. -a,
// because a hidden partition hides jobs from their own user, too.
func (c *Client) Queue(ctx context.Context, cluster string) ([]QueueRow, error) {
	out, err := c.call(ctx, host.Cmd{Argv: withCluster([]string{"squeue", "-a", "--me", "-t", "all", "-o", queueFormat()}, cluster), Env: queryEnv()})
	if err != nil {
		return nil, err
	}
	return ParseQueue(out)
}

// Control asks slurmctld for one job; nil = it does not know the job (any more).
func (c *Client) Control(ctx context.Context, j Job) (*ControlJob, error) {
	if !plainID(j.ID) {
		return nil, fmt.Errorf("%q is not a job id", j.ID)
	}
	out, err := c.call(ctx, host.Cmd{Argv: withCluster([]string{"scontrol", "-a", "-o", "show", "job", j.ID}, j.Cluster), Env: queryEnv()})
	var refused *CallError
	if errors.As(err, &refused) && refused.UnknownJob() {
		return nil, nil //nolint:nilnil // unknown is an answer
	}
	if err != nil {
		return nil, err
	}
	jobs, err := ParseControl(out)
	if err != nil {
		return nil, err
	}
	for _, k := range jobs {
		if k.ID == j.ID {
			k.Room = c.room(ctx, k, j.Cluster)
			return &k, nil
		}
	}
	return nil, fmt.Errorf("scontrol: asked for job %s, got something else", j.ID)
}

// room is the most nodes that a job may have in one of its partitions, asked for only where it waits for that.
func (c *Client) room(ctx context.Context, j ControlJob, cluster string) int {
	if j.State != Pending || j.Reason != PartitionNodeLimit {
		return 0
	}
	most := 0
	for name := range strings.SplitSeq(j.Partition, ",") {
		out, err := c.call(ctx, host.Cmd{Argv: withCluster([]string{"scontrol", "-a", "-o", "show", "partition", name}, cluster), Env: queryEnv()})
		kv := controlPairs(strings.TrimSpace(out))
		total, bad := strconv.Atoi(kv["TotalNodes"])
		if err != nil || bad != nil || kv["PartitionName"] != name {
			return 0
		}
		if limit, err := strconv.Atoi(kv["MaxNodes"]); err == nil {
			total = min(total, limit)
		}
		most = max(most, total)
	}
	return most
}

// acctFields are the columns asked for. Releases differ in some (Restarts is not
// known to 22.05); one that sacct refuses is dropped and not asked for again.
func acctFields() []string {
	return []string{"JobID", "JobName", "State", "ExitCode", "DerivedExitCode", "Submit", "Start", "End", "NodeList", "Reason", "Restarts", "Suspended", "UID"}
}

// Accounting asks slurmdbd for jobs, all restarts of each (-D), without their steps
// (-X), which roles may call as they like. Without a since, sacct would look no further back than midnight. No row for
// a job is normal for some seconds after its submission and after its end.
func (c *Client) Accounting(ctx context.Context, cluster string, ids []string, since time.Time) ([]AcctRow, error) {
	for _, id := range ids {
		if !plainID(id) {
			return nil, fmt.Errorf("%q is not a job id", id)
		}
	}
	return c.sacct(ctx, cluster, since, "-j", strings.Join(ids, ","))
}

// AccountingByName is Accounting for every job of that name.
func (c *Client) AccountingByName(ctx context.Context, cluster, name string, since time.Time) ([]AcctRow, error) {
	if !isWord(name) {
		return nil, fmt.Errorf("%q is not a job name of ours", name)
	}
	return c.sacct(ctx, cluster, since, "--name="+name)
}

// accountingIn lists this user's jobs whose working directory is dir. An sacct that
// cannot tell it has nothing to say. The column comes last in a query of its own: a
// directory of somebody's may hold the separator.
func (c *Client) accountingIn(ctx context.Context, dir string, since time.Time) ([]AcctRow, error) {
	out, err := c.call(ctx, host.Cmd{
		Argv: []string{"sacct", "-X", "-P", "-D", "-S", since.UTC().Format("2006-01-02T15:04:05"), "-o", "JobID,WorkDir"}, Env: queryEnv(),
	})
	var refused *CallError
	if errors.As(err, &refused) && refused.has("Invalid field requested") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var rows []AcctRow
	for line := range strings.Lines(out) {
		id, work, ok := strings.Cut(strings.TrimRight(line, "\n"), "|")
		if ok && work == dir && isJobID(id) {
			rows = append(rows, AcctRow{ID: id, WorkDir: work})
		}
	}
	return rows, nil
}

func (c *Client) sacct(ctx context.Context, cluster string, since time.Time, which ...string) ([]AcctRow, error) {
	if c.AccountingOff() {
		return nil, ErrNoAccounting
	}
	for {
		fields := c.fields()
		argv := append([]string{"sacct", "-X", "-P", "-D", "-S", since.UTC().Format("2006-01-02T15:04:05"), "-o", strings.Join(fields, ",")}, which...)
		out, err := c.call(ctx, host.Cmd{Argv: withCluster(argv, cluster), Env: queryEnv()})
		var refused *CallError
		if errors.As(err, &refused) {
			if refused.has("accounting storage is disabled") {
				c.mu.Lock()
				c.noAcct = true
				c.mu.Unlock()
				return nil, ErrNoAccounting
			}
			if c.dropField(refused.Text, fields) {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		return ParseAcct(out)
	}
}

// AccountingOff reports whether sacct has said that there is no accounting.
func (c *Client) AccountingOff() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.noAcct
}

func (c *Client) fields() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(acctFields(), func(f string) bool { return c.noFields[f] })
}

// dropField remembers a column that this sacct does not know. The columns that
// the parser needs are never dropped.
func (c *Client) dropField(stderr string, asked []string) bool {
	m := regexp.MustCompile(`Invalid field requested: "([A-Za-z]+)"`).FindStringSubmatch(stderr)
	if m == nil || !slices.Contains(asked, m[1]) || slices.Contains([]string{"JobID", "JobName", "State", "ExitCode"}, m[1]) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noFields[m[1]] = true
	return true
}

func withCluster(argv []string, cluster string) []string {
	if cluster == "" {
		return argv
	}
	return append([]string{argv[0], "-M", cluster}, argv[1:]...)
}
