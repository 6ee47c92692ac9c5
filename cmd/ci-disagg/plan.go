package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// planSchema is the version of plan's JSON (docs/plan.md).
const planSchema = 2

// planOptions are the flags of plan.
type planOptions struct {
	suiteFlags
	output string
	draft  string
	script bool
	write  string
	check  bool
}

// AddFlags registers the flags.
func (o *planOptions) AddFlags(f *pflag.FlagSet) {
	o.suiteFlags.AddFlags(f)
	f.StringVarP(&o.output, "output", "o", "table", "table or json")
	f.StringVar(&o.draft, "draft", "", "a team's own launch draft, as for run")
	f.BoolVar(&o.script, "script", false, "print the generated scripts instead")
	f.StringVar(&o.write, "write", "", "write the files of one attempt to this directory (of the only case), to submit job.sh yourself")
	f.BoolVar(&o.check, "check", false, "ask Slurm whether it would take the jobs (sbatch --test-only)")
}

func newPlanCmd(h host) *cobra.Command {
	var o planOptions
	cmd := &cobra.Command{
		Use:   "plan [flags] [TEST_ID...]",
		Short: "Resolve, validate and print what run would do; submit nothing",
		Long: `plan reads the tests, their configs and the cluster's profile, checks everything at
once, and prints what would be launched: nodes, GPUs and commands per role, time
budgets, what is expected to come back and what it would be judged against.

Exit code 2 means that something is wrong; every problem is named with its file,
line and key.`,
		Example: `  ci-disagg plan --test-list nightly.txt --cluster gb200
  ci-disagg plan -o json disagg_upload-e2e-my_config | jq '.cases[].nodes'
  ci-disagg plan --script disagg_upload-e2e-my_config
  ci-disagg plan --check --test-list nightly.txt --cluster gb200`,
		RunE: func(cmd *cobra.Command, args []string) error { return runPlan(cmd.Context(), h, o, args) },
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

// planDocument is what plan -o json prints.
type planDocument struct {
	Schema   int           `json:"schema"`
	Version  string        `json:"version"`
	Config   string        `json:"config,omitempty"`
	Backend  string        `json:"backend"`
	Cluster  string        `json:"cluster,omitempty"`
	Stage    string        `json:"stage"`
	Settings []planSetting `json:"settings"`
	Cases    []planCase    `json:"cases"`
}

// planSetting is one effective value and where it came from.
type planSetting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	From  string `json:"from"` // file:line:column, $NAME or default
}

// planCase is one case's plan and what is known about it beside.
type planCase struct {
	rundir.Plan
	Baseline string     `json:"baseline"`        // what the case would be judged against
	Check    *planCheck `json:"check,omitempty"` // with --check
}

// planCheck is Slurm's answer to sbatch --test-only.
type planCheck struct {
	OK     bool   `json:"ok"`
	Answer string `json:"answer"`
}

func runPlan(ctx context.Context, h host, o planOptions, args []string) error {
	if o.output != "table" && o.output != "json" {
		return usageErr(fmt.Errorf("-o %q is not table or json", o.output))
	}
	s, err := o.resolve(h, args)
	if err != nil {
		return err
	}
	d, err := newDriver(h, s.config, s.cluster, s.profile, s.backend, driveFlags{retries: -1, reruns: -1})
	if err != nil {
		return err
	}
	defer d.close()
	if err := d.setDraft(h, o.draft); err != nil {
		return err
	}
	if err := d.findAgent(); err != nil {
		return err
	}
	if len(d.draft) > 0 {
		underDraft(s.plans, o.draft)
	}
	var dir rundir.Dir
	if o.script || o.check {
		if dir, err = exampleDir(h, s.config); err != nil {
			return err
		}
	}
	if o.write != "" {
		return writeAttempt(h, d, o.write, s.plans)
	}
	if o.script {
		return printScripts(h, d, dir, s.plans)
	}
	doc := planDocument{
		Schema: planSchema, Version: buildVersion(), Config: s.config.path, Backend: s.backend, Cluster: s.cluster, Stage: s.stage,
		Settings: o.settings(h, s, args),
	}
	doc.Cases, err = planCases(ctx, h, s)
	if err != nil {
		return err
	}
	if o.check {
		if err := checkPlans(ctx, h, d, dir, doc.Cases); err != nil {
			return err
		}
	}
	if err := printPlan(h, doc, o.output); err != nil {
		return err
	}
	return refused(doc.Cases)
}

// underDraft marks plans that a team's own launch draft starts. A draft computes its
// tasks as nodes × GPUs per node, which is too many for some servers.
func underDraft(plans []rundir.Plan, draft string) {
	for i := range plans {
		p := &plans[i]
		p.Draft = true
		for _, r := range p.Roles() {
			if first := r.Slice[0]; r.GPUs() != first.GPUs*len(r.Slice) {
				p.Warnings = append(p.Warnings, fmt.Sprintf("%s is made of %d GPUs; a draft that multiplies nodes by GPUs per node starts %d tasks for it: run this case without %s",
					r.Name, r.GPUs(), first.GPUs*len(r.Slice), draft))
			}
		}
	}
}

func printPlan(h host, doc planDocument, format string) error {
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
		planTable(&b, doc, wd)
	}
	_, err := h.stdout.Write(b.Bytes())
	return err
}

// settings are the effective values of profile and workload with their origins.
func (o *planOptions) settings(h host, s suite, args []string) []planSetting {
	var out []planSetting
	from := func(key string) string { return s.config.doc.At(key) }
	if s.cluster != "" {
		origin := "default: the only one"
		switch {
		case o.cluster != "":
			origin = "--cluster"
		case s.config.Cluster != "":
			origin = from("cluster")
		}
		out = append(out, planSetting{Key: "cluster", Value: s.cluster, From: origin})
		for _, v := range s.profile.Settings(runtime.GOARCH) {
			p := planSetting{Key: "clusters." + s.cluster + "." + v.Key, Value: v.Value, From: "default"}
			if v.Set {
				p.From = from(p.Key)
			}
			out = append(out, p)
		}
	}
	in, err := o.input(h, s, args)
	if err != nil {
		return out
	}
	for _, v := range in.Settings() {
		p := planSetting{Key: "workload." + v.Key, Value: v.Value, From: v.From}
		if v.From == "config" {
			p.From = from(p.Key)
		}
		out = append(out, p)
	}
	for i, sec := range s.config.Workload.Secrets {
		at := slices.IndexFunc(out, func(p planSetting) bool { return p.Key == fmt.Sprintf("workload.secrets[%d]", i) })
		if at >= 0 && sec.File == "" && h.getenv(cmp.Or(sec.From, sec.Name)) == "" {
			out[at].Value += " (not set here)"
		}
	}
	return out
}

// exampleDir is where the run would be, with RUN for the run's id.
func exampleDir(h host, cfg config) (rundir.Dir, error) {
	parent, err := runsDir(h, cfg)
	if err != nil {
		return "", err
	}
	return rundir.Dir(filepath.Join(parent, "RUN")), nil
}

// renderExample makes the files of the case's first attempt.
func renderExample(d *driver, dir rundir.Dir, p rundir.Plan) (rundir.AttemptDir, []script.File, error) {
	attempt := dir.CaseDir(p.Case.Slug).Attempt(0, 1)
	files, err := render(d, p, string(attempt), "ci-disagg-RUN")
	return attempt, files, err
}

func render(d *driver, p rundir.Plan, dir, name string) ([]script.File, error) {
	return script.Render(p, d.profile, script.Attempt{
		Dir: dir, JobName: name, Owner: "OWNER", AgentPath: d.binary.Path, Draft: d.draft, DraftName: d.source,
	})
}

// writeAttempt writes what a job of the only case needs to dir, which becomes
// the attempt directory. For teams whose own scripts submit and wait.
func writeAttempt(h host, d *driver, dir string, plans []rundir.Plan) error {
	if len(plans) != 1 || plans[0].Case.SkipReason != "" {
		return usageErr(fmt.Errorf("--write makes the files of one case, and this is %s; use --split-group or --shard", count(len(plans), "case")))
	}
	dir, err := absPath(h, dir)
	if err != nil {
		return err
	}
	if err := fresh(dir); err != nil {
		return usageErr(err)
	}
	p := plans[0]
	files, err := render(d, p, dir, "ci-disagg-"+p.Case.Slug)
	if err != nil {
		return usageErr(err)
	}
	for _, f := range files {
		if err := rundir.WriteFile(filepath.Join(dir, f.Path), f.Data, f.Mode); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(h.stdout, filepath.Join(dir, files[0].Path))
	return err
}

// fresh says that no earlier job has left anything in an attempt directory: its
// results would be taken for those of the next one.
func fresh(dir string) error {
	for _, pattern := range []string{"slurm.out", "run-*/roles/*/results*.xml", "run-*/roles/*/output.log", "run-*/output/*"} {
		found, err := fs.Glob(os.DirFS(dir), pattern)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return fmt.Errorf("--write %s: %s is there from an earlier job: remove the directory, or choose another", dir, found[0])
		}
	}
	return nil
}

// printScripts prints every file of every case that is not skipped, each below
// a line with its path.
func printScripts(h host, d *driver, dir rundir.Dir, plans []rundir.Plan) error {
	var b bytes.Buffer
	for _, p := range plans {
		if p.Case.SkipReason != "" {
			continue
		}
		attempt, files, err := renderExample(d, dir, p)
		if err != nil {
			return usageErr(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f.Path, ".sh") {
				fmt.Fprintf(&b, "==> %s <==\n%s\n", filepath.Join(string(attempt), f.Path), f.Data)
			}
		}
	}
	_, err := h.stdout.Write(b.Bytes())
	return err
}
