package script

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Profile is what ci-disagg knows about one cluster: one entry of the section
// clusters: in ci-disagg.yaml.
type Profile struct {
	Queue    `yaml:",inline"`
	Hardware `yaml:",inline"`

	GPUs      string   `yaml:"gpus" enum:"gpus-per-node,gres,none"` // how GPUs are asked for: gpus-per-node (default), gres, none
	Exclusive bool     `yaml:"exclusive"`                           // --exclusive
	Segment   bool     `yaml:"segment"`                             // --segment=<nodes>: all nodes in one NVLink domain
	Exclude   []string `yaml:"exclude"`                             // nodes never to use
	Comment   string   `yaml:"comment"`                             // --comment; {owner} stands for our owner tag
	Signal    string   `yaml:"signal"`                              // --signal=B:<this>, default TERM@120; "none" switches it off
	Sbatch    []string `yaml:"sbatch"`                              // further sbatch options, one argument each
	Srun      []string `yaml:"srun"`                                // further options of every srun step, one argument each
	// ExportEnv names the client's variables that jobs may see, beside those that
	// secrets come from. Empty, or with ALL among them: every one but those that
	// steer Slurm's commands, mark a build's processes or open the baseline store.
	ExportEnv []string `yaml:"export" policy:"base"`
	// Passed stands in place of ALL where ExportEnv is empty: the jobs are a pull request's.
	Passed     []string `yaml:"-"`
	MPI        string   `yaml:"mpi"`          // --mpi of worker steps, default pmix
	AccountArg bool     `yaml:"step_account"` // some sites refuse steps without -A

	Container *Container        `yaml:"container"`
	Env       map[string]string `yaml:"env"` // exported to every role
	// UCX is shell text before every role's command here, in the place of workload.ucx,
	// which is the workers' alone; "none" = nothing.
	UCX   string            `yaml:"ucx"`
	Agent map[string]string `yaml:"agent" policy:"base"` // path of the ci-disagg binary by architecture; default: the running one
	// AgentDir is a directory behind the login node, seen by the nodes, that the
	// binary and the runs are copied to; "" = this machine shares the file system.
	AgentDir string `yaml:"agent_dir" policy:"base"`
	Login    string `yaml:"login" policy:"base"` // ssh destination of a login node; "" = Slurm's commands run here
}

// Queue is where a cluster's jobs go, and how many of ours may be there.
type Queue struct {
	Partition   string          `yaml:"partition"`
	Account     string          `yaml:"account"`
	QOS         string          `yaml:"qos"`
	Reservation string          `yaml:"reservation"`
	Time        rundir.Duration `yaml:"time"`                  // default time limit of a job; budgets.job overrides it
	MaxNodes    int             `yaml:"max_nodes" bounds:"0,"` // nodes that all our jobs here may hold together; 0 = no limit
	MaxJobs     int             `yaml:"max_jobs" bounds:"0,"`  // jobs that we may have here at once; 0 = no limit
}

// Hardware is what a cluster's nodes are.
type Hardware struct {
	GPUsPerNode int    `yaml:"gpus_per_node" bounds:"0,"` // 0 = not checked
	GPUType     string `yaml:"gpu_type"`                  // GB200, B200, …; part of the series identity, and held against what nvidia-smi says
	Arch        string `yaml:"arch" enum:"amd64,arm64"`   // amd64 or arm64
}

// AgentFor is the configured path of the binary for the cluster's nodes; "" says
// that the running one, built for goarch, will do. Nodes of another architecture
// need a binary of their own: the agent could not even start.
func (p Profile) AgentFor(goarch string) (string, error) {
	arch := p.Arch
	if arch == "" {
		arch = goarch
	}
	path := p.Agent[arch]
	if path == "" && arch != goarch {
		return "", fmt.Errorf("agent.%s is missing: the nodes are %s, this ci-disagg is %s; name the binary that is built for them", arch, arch, goarch)
	}
	return path, nil
}

// Container is the container: section of a cluster.
type Container struct {
	Image     string   `yaml:"image"`
	Name      string   `yaml:"name"` // share one named container between the steps of a node, made once per node and attempt
	Workdir   string   `yaml:"workdir"`
	Mounts    []string `yaml:"mounts"` // src:dst[:flags]
	MountHome bool     `yaml:"mount_home"`
	Args      []string `yaml:"args"` // further --container-… options
}

// How a job and its steps ask for GPUs.
const (
	GPUsPerNode = "gpus-per-node"
	GPUsGres    = "gres"
	GPUsNone    = "none"
)

// Validate gives every problem of the profile, each a strictyaml.KeyError; name is the cluster's name.
func (p Profile) Validate(name string) error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, strictyaml.KeyError{Key: strictyaml.Path("clusters", name) + "." + key, Message: fmt.Sprintf(format, args...)})
	}
	if p.GPUs != "" && !slices.Contains([]string{GPUsPerNode, GPUsGres, GPUsNone}, p.GPUs) {
		bad("gpus", "%q is not one of gpus-per-node, gres, none", p.GPUs)
	}
	if p.Arch != "" && p.Arch != "amd64" && p.Arch != "arm64" {
		bad("arch", "%q is not amd64 or arm64", p.Arch)
	}
	for key, n := range map[string]int{"gpus_per_node": p.GPUsPerNode, "max_nodes": p.MaxNodes, "max_jobs": p.MaxJobs} {
		if n < 0 {
			bad(key, "%d is negative", n)
		}
	}
	for key, v := range map[string]string{"partition": p.Partition, "account": p.Account, "qos": p.QOS, "reservation": p.Reservation, "login": p.Login} {
		if strings.HasPrefix(v, "<") && strings.HasSuffix(v, ">") {
			bad(key, "%q is a placeholder: write the real value", v)
		}
		if strings.HasPrefix(v, "-") || strings.ContainsAny(v, "\n\r\x00") {
			bad(key, "%q is not a name", v)
		}
	}
	p.validateArgs(bad)
	if p.Container != nil {
		p.Container.validate(bad)
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

func (c Container) validate(bad func(key, format string, args ...any)) {
	switch {
	case c.Image == "":
		bad("container.image", "missing: name the image, or remove the section")
	case strings.HasPrefix(c.Image, "<"):
		bad("container.image", "%q is a placeholder: write the real value", c.Image)
	}
	for _, a := range c.Args {
		if !strings.HasPrefix(a, "--container-") && !strings.HasPrefix(a, "--no-container-") {
			bad("container.args", "%q is no --container-… option: those of the step belong into srun", a)
		}
	}
	for _, m := range c.Mounts {
		if strings.HasPrefix(m, "<") || strings.ContainsAny(m, ",\n\x00") {
			bad("container.mounts", "%q is not one src:dst[:flags]", m)
		}
	}
}

func (p Profile) validateArgs(bad func(key, format string, args ...any)) {
	for _, a := range p.Sbatch {
		validateArg(bad, "sbatch", a, ownedBySbatch())
	}
	for _, a := range p.Srun {
		validateArg(bad, "srun", a, ownedBySrun())
	}
	for name := range p.Env {
		if !validName(name) {
			bad("env", "%q is not a variable name", name)
		}
	}
	for _, name := range p.ExportEnv {
		if !validName(name) {
			bad("export", "%q is not a variable name", name)
		}
	}
	if strings.ContainsAny(p.Signal, " \t\n\r\x00") {
		bad("signal", "%q must be one word, as %s", p.Signal, DefaultSignal)
	}
	if strings.ContainsAny(p.Comment, "\n\r\x00") {
		bad("comment", "must be one line")
	}
}

func validateArg(bad func(key, format string, args ...any), key, a string, ours []owned) {
	if o := ownedBy(ours, a); o != nil {
		bad(key, "%q is ci-disagg's own: %s", a, o.mend)
	}
	_, err := directive(a)
	if !strings.HasPrefix(a, "-") || strings.ContainsAny(a, "\n\r\x00") || key == "sbatch" && err != nil {
		bad(key, "%q is not one option; write each as --name=value", a)
	}
	if key == "sbatch" && unwatched(a) {
		bad(key, "%q makes no job that can be watched, or several: remove it", a)
	}
	if routes(a) {
		bad(key, "%q sends jobs to another cluster, where they could not be found by name or ended: make that cluster an entry of its own under clusters:, with login: naming a machine that it is the default of", a)
	}
}

// unwatched reports whether with an option sbatch does not make exactly one job and
// answer with its id at once.
func unwatched(opt string) bool {
	name, _, _ := strings.Cut(opt, "=")
	return slices.Contains([]string{"--array", "--test-only", "--wait", "-W"}, name) || strings.HasPrefix(opt, "-a")
}

// routes reports whether an option names the cluster, also at the end of short options
// without a value that are written together.
func routes(opt string) bool {
	if !strings.HasPrefix(opt, "--") {
		return strings.HasPrefix(strings.TrimLeft(opt, "-HIkOQsvW"), "M")
	}
	name, _, _ := strings.Cut(opt, "=")
	return name == "--cluster" || name == "--clusters"
}

func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// seen are the client's variables that jobs may see, nil = all but those that are ours.
func (p Profile) seen() []string {
	switch {
	case len(p.ExportEnv) == 0:
		return p.Passed
	case slices.Contains(p.ExportEnv, "ALL"):
		return nil
	default:
		return p.ExportEnv
	}
}

// Local are the variables that the jobs of the local backend may see, nil = all but those that are ours.
func (p Profile) Local(plans []rundir.Plan) []string {
	names := p.seen()
	if names == nil {
		return nil
	}
	// A job of Slurm's with a list has its user's login environment beside it.
	names = append(slices.Clone(names), "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR")
	for _, plan := range plans {
		names = append(names, secretSources(plan)...)
	}
	return names
}
