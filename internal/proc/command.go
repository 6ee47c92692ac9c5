package proc

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Defaults of Command.
const (
	DefaultGrace     = 5 * time.Second
	DefaultWaitDelay = 2 * time.Second
	DefaultMaxStdout = 4 << 20
	stderrTail       = 8 << 10
)

// Command is one child process, not yet started.
type Command struct {
	Argv []string // Argv[0] is looked up on the PATH of Env unless it holds a slash
	Dir  string   // "" = the current directory
	Env  []string // the whole environment; nil = empty, nothing is inherited

	Stdin  io.Reader // nil = /dev/null
	Stdout io.Writer // nil = kept in Result.Stdout, up to MaxStdout bytes
	Stderr io.Writer // nil = only the tail is kept, in Result.Stderr

	Timeout   time.Duration // 0 = only the context ends it
	Grace     time.Duration // from SIGTERM to SIGKILL; 0 = DefaultGrace
	WaitDelay time.Duration // how long an open pipe may outlive the child; 0 = DefaultWaitDelay
	MaxStdout int           // bytes kept when Stdout is nil; 0 = DefaultMaxStdout; more is an error

	Session  bool // also a session of its own: survives a hangup of the terminal
	KillLeft bool // when the child has ended, kill what is left of its group
}

// Result is how a child ended. It is valid also when Run returns an error.
type Result struct {
	Exit   int    // exit code; 128+Signal when killed by a signal; -1 = never ran
	Signal int    // signal that ended it, 0 = none
	Stdout []byte // when Command.Stdout was nil
	Stderr string // tail of stderr, at most 8 KiB, invalid UTF-8 replaced
}

// ExitError says that the child ran and ended with something else than 0.
type ExitError struct {
	Name   string // base name of Argv[0]
	Exit   int
	Signal int
	Stderr string
}

func (e *ExitError) Error() string {
	what := rundir.Ending{Exit: e.Exit, Signal: e.Signal}
	if t := strings.TrimSpace(e.Stderr); t != "" {
		return fmt.Sprintf("%s: %s: %s", e.Name, what, t)
	}
	return fmt.Sprintf("%s: %s", e.Name, what)
}

// LookPath finds name on the PATH of env. A name with a slash is returned as is.
// The PATH of our own process plays no part, so what a caller scrubs or adds in
// the environment also decides which program runs.
func LookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	path := Getenv(env, "PATH")
	for _, dir := range filepath.SplitList(path) {
		if dir == "" {
			continue // "" means the current directory: never run what lies around there
		}
		file := filepath.Join(dir, name)
		if st, err := os.Stat(file); err == nil && !st.IsDir() && st.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("%s: %w on PATH (%s)", name, errNotFound, path)
}

var errNotFound = fmt.Errorf("program not found: %w", fs.ErrNotExist)

// Getenv is the value of name in env; the last entry wins, as in execve's users.
func Getenv(env []string, name string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if k, v, ok := strings.Cut(env[i], "="); ok && k == name {
			return v
		}
	}
	return ""
}

// WithoutJenkins is env without the variables by which Jenkins finds the
// processes of a build that it aborts (or sweeps up after): a child started with
// the rest is left alone (docs/facts/jenkins.md#five-seconds). Use it for every scancel, ssh and detached agent.
func WithoutJenkins(env []string) []string {
	return Without(env, func(name string) bool {
		switch name {
		case "JENKINS_SERVER_COOKIE", "JENKINS_NODE_COOKIE", "JENKINS_COOKIE", "HUDSON_COOKIE", "HUDSON_SERVER_COOKIE", "BUILD_ID":
			return true
		}
		return false
	})
}

// StoreVars are the variables by which ci-disagg itself reaches the baseline
// store: they may hold its password, which no job has a use for.
func StoreVars() []string {
	return []string{"CI_DISAGG_STORE", "PGPASSWORD", "PGPASSFILE", "PGSERVICEFILE", "PGSSLPASSWORD"}
}

// WithoutStore is env without StoreVars.
func WithoutStore(env []string) []string {
	return Without(env, func(name string) bool { return slices.Contains(StoreVars(), name) })
}

// WithoutSlurm is env without the variables that Slurm's commands would take as
// options (SBATCH_*, SRUN_*, SALLOC_*, SQUEUE_*, SACCT_*, SCANCEL_*, SINFO_*) or as the job they
// run in (SLURM_*), except SLURM_CONF, which says where the cluster is.
func WithoutSlurm(env []string) []string {
	prefixes := []string{"SLURM_", "SBATCH_", "SRUN_", "SALLOC_", "SQUEUE_", "SACCT_", "SCANCEL_", "SINFO_", "SCONTROL_"}
	return Without(env, func(name string) bool {
		if name == "SLURM_CONF" {
			return false
		}
		for _, p := range prefixes {
			if strings.HasPrefix(name, p) {
				return true
			}
		}
		return false
	})
}

// Without is a copy of env without the variables for which drop says so.
func Without(env []string, drop func(name string) bool) []string {
	kept := make([]string, 0, len(env))
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		if !drop(name) {
			kept = append(kept, e)
		}
	}
	return kept
}
