package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/pipeline"
	"github.com/ci-disagg/ci-disagg/internal/launch/recipe"
	"github.com/ci-disagg/ci-disagg/internal/launch/unixgroup"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// planOptions are the flags of plan.
type planOptions struct {
	suiteFlags
	buildFlags
	output, draft, write, recipe string
	script, check, create        bool
}

// AddFlags registers the flags.
func (o *planOptions) AddFlags(f *pflag.FlagSet) {
	o.suiteFlags.AddFlags(f)
	o.buildFlags.AddFlags(f)
	f.StringVarP(&o.output, "output", "o", "table", "table or json")
	f.StringVar(&o.draft, "draft", "", "a team's own launch draft, as for run")
	f.BoolVar(&o.script, "script", false, "print the generated scripts instead")
	f.StringVar(&o.write, "write", "", "write the files of one attempt to this directory (of the only case), to submit job.sh yourself")
	f.BoolVar(&o.check, "check", false, "ask Slurm whether it would take the jobs (sbatch --test-only); with the local backend: are the programs here?")
	f.StringVar(&o.recipe, "recipe", "", "a recipe of srt-slurm: print the config that does the same, and name each key that has no counterpart")
	f.BoolVar(&o.create, "create-store", false, "make perf.store if it is not there, with the directories above it")
}

func newPlanCmd(h host) *cobra.Command {
	var o planOptions
	cmd := &cobra.Command{
		Use:   "plan [flags] [TEST_ID...]",
		Short: "Resolve, validate and print what run would do; submit nothing",
		Long: `plan reads the tests, or the config's own pipelines and cases where no test is named,
and the cluster's profile, checks everything at once, and prints what would be
launched: nodes, GPUs and commands per role, time budgets, what is expected to
come back and what it would be judged against.

Exit code 2 means that something is wrong; every problem is named with its file,
line and key.`,
		Example: `  ci-disagg plan --test-list nightly.txt --cluster gb200
  ci-disagg plan -o json disagg_upload-e2e-my_config | jq '.cases[].nodes'
  ci-disagg plan --script disagg_upload-e2e-my_config
  ci-disagg plan --check --test-list nightly.txt --cluster gb200
  ci-disagg plan --case 'redis[concurrency=8]' --backend local --check
  ci-disagg plan --recipe recipes/h100/agg.yaml > ci-disagg.yaml`,
		RunE: func(cmd *cobra.Command, args []string) error { return runPlan(cmd.Context(), h, o, args) },
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func runPlan(ctx context.Context, h host, o planOptions, args []string) error {
	if o.recipe != "" {
		return printRecipe(h, o.recipe)
	}
	if o.output != "table" && o.output != "json" {
		return exit.ByUser(fmt.Errorf("-o %q is not table or json", o.output))
	}
	cfg, err := ruled(h, o.config, o.rules, o.buildFlags)
	if err != nil {
		return err
	}
	tellRules(h, cfg)
	s, _, err := o.suite(h, cfg, o.buildFlags, args)
	if err != nil {
		return err
	}
	group, err := unixgroup.Find(ctx, cfg.Group, h.environ())
	if err != nil {
		return exit.ByUser(err)
	}
	d, err := newSuiteDriver(h, cfg, s, o.draft, noDriveFlags())
	if err != nil {
		return err
	}
	defer d.Close()
	if err := s.TakeGPUs(ctx, d.Host); err != nil {
		return exit.ByUser(err)
	}
	dir, err := exampleDir(h, cfg)
	if err != nil && (o.script || o.check) {
		return err
	}
	if doubt := group.Reaches(filepath.Dir(string(dir))); err == nil && doubt != nil {
		fmt.Fprintf(h.stderr, "ci-disagg: warning: %v\n", doubt)
	}
	if o.write != "" {
		return o.writeAttempt(h, d, s.Plans)
	}
	if o.script {
		return d.Scripts(h.stdout, dir, s.Plans)
	}
	doc := pipeline.Document{
		Schema: pipeline.Schema, Version: buildVersion(), Config: cfg.Path, Backend: s.Backend, Cluster: s.Cluster, Stage: s.Stage,
		Settings: s.Settings(runtime.GOARCH),
	}
	doc.Settings = append(doc.Settings, configfile.Exported(h.environ(), s.Profile)...)
	doc.Cases, err = planCases(ctx, h, cfg, s.Plans, o.create)
	if err != nil {
		return err
	}
	if o.check {
		if err := d.Check(ctx, dir, s, doc.Cases); err != nil {
			return err
		}
	}
	if err := printPlan(h, doc, o.output); err != nil {
		return err
	}
	return exit.ByUser(doc.Refused())
}

// writeAttempt writes the files of one attempt, and prints the path of its job's script.
func (o planOptions) writeAttempt(h host, d *driver, plans []rundir.Plan) error {
	dir, err := absPath(h, o.write)
	if err != nil {
		return err
	}
	job, err := d.WriteAttempt(dir, plans)
	if err == nil {
		_, err = fmt.Fprintln(h.stdout, job)
	}
	return err
}

func printPlan(h host, doc pipeline.Document, format string) error {
	var b bytes.Buffer
	if format == "json" {
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(doc); err != nil {
			return err
		}
	} else {
		wd, err := h.getwd()
		if err != nil {
			return err
		}
		doc.WriteTable(&b, wd)
	}
	_, err := h.stdout.Write(b.Bytes())
	return err
}

// exampleDir is where the run would be, with RUN for the run's id.
func exampleDir(h host, cfg config) (rundir.Dir, error) {
	parent, err := runsDir(h, cfg)
	if err != nil {
		return "", err
	}
	return rundir.Dir(filepath.Join(parent, "RUN")), nil
}

// printRecipe prints a recipe of srt-slurm as a config of ours.
func printRecipe(h host, file string) error {
	data, err := h.readFile(file)
	if err != nil {
		return exit.ByUser(err)
	}
	r, err := recipe.Import(filepath.Base(file), data)
	if err != nil {
		return exit.ByUser(err)
	}
	if _, err := configfile.Parse(file, []byte(r.Text)); err != nil {
		return exit.ByUser(err)
	}
	fmt.Fprint(h.stdout, r.Text)
	for _, left := range r.Left {
		fmt.Fprintf(h.stderr, "ci-disagg: %s: not taken over: %s\n", file, left)
	}
	return nil
}
