// Command ci-disagg launches disaggregated LLM-serving performance tests on Slurm, merges what they leave behind into
// one JUnit report and one performance verdict, and ends with one exit code.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/trust"
	"github.com/ci-disagg/ci-disagg/internal/userfile"
	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run(context.Background(), newHost(), os.Args[1:]))
}

// host is everything of the surrounding process that a verb may use. It is read here and nowhere else.
type host struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	environ        func() []string
	now            func() time.Time
	getwd          func() (string, error)
	executable     func() (string, error)
	readFile       func(string) ([]byte, error) // what the user names; run directories are read through rundir.Tree
	patience       time.Duration                // of a shell that completes a word
}

func newHost() host {
	return host{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		getenv: os.Getenv, environ: os.Environ, now: time.Now,
		getwd: os.Getwd, executable: os.Executable, readFile: userfile.Read, patience: 3 * time.Second,
	}
}

// run executes one command line and gives the exit code: the only place that prints an error.
func run(ctx context.Context, h host, args []string) (code int) {
	defer func() {
		if r := recover(); r != nil { // Go's own code for it, 2, would read as a mistake of the user's
			code = exit.Infra
			fmt.Fprintf(h.stderr, "ci-disagg: this is a bug, please report it: %v (CI_DISAGG_DEBUG=1 shows where)\n", r)
			if h.getenv("CI_DISAGG_DEBUG") != "" {
				_, _ = h.stderr.Write(debug.Stack())
			}
		}
	}()
	if trust.Here(h.getenv).Stranger() {
		h.readFile = userfile.ReadOfStranger
	}
	root := newRoot(h)
	began := false // what the verb says is no matter of usage
	root.PersistentPreRun = func(*cobra.Command, []string) { began = true }
	cmd := root
	args, err := expandArgs(root, h.readFile, args)
	if err == nil {
		root.SetArgs(args)
		cmd, err = root.ExecuteContextC(ctx)
		if _, _, unknown := cmdline.Find(root, args); unknown != nil {
			err = unknown
		}
	}
	var end *exit.Error
	if errors.As(err, &end) {
		if end.Err != nil {
			fmt.Fprintf(h.stderr, "ci-disagg: %s\n", plain.Inert(end.Err.Error())) // it may quote a job
		}
		return end.Code
	}
	switch {
	case err == nil:
		return exit.Passed
	case began:
		fmt.Fprintf(h.stderr, "ci-disagg: %s\n", plain.Inert(err.Error()))
	default: // cobra's own: unknown verb, unknown flag, wrong arguments
		fmt.Fprintf(h.stderr, "ci-disagg: %s\n", cmdline.Usage(cmd, err))
	}
	return exit.Usage
}

func newRoot(h host) *cobra.Command {
	root := &cobra.Command{
		Use:   "ci-disagg",
		Short: "Launch, judge and report disaggregated LLM-serving performance tests on Slurm",
		Long: `ci-disagg launches a disaggregated performance test on Slurm (one job, one srun
step per role), waits for it, merges the roles' results.xml and the benchmark
output into one JUnit report and a verdict against stored baselines, and ends
with one exit code:

` + exit.Table,
		Version:       buildVersion(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate(versionLine())
	root.SetIn(h.stdin)
	root.SetOut(h.stdout)
	root.SetErr(h.stderr)
	addArgsFlag(root.PersistentFlags())
	root.AddCommand(verbs(h)...)
	strictHelp(root)
	narrowHelp(root)
	addCompletions(root, h)
	return root
}
