package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/prpolicy"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/builder"
	"github.com/ci-disagg/ci-disagg/internal/report/deliver"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/trust"
)

// judgeOptions are the flags of judge.
type judgeOptions struct {
	subjectFlags
	points     []int
	accuracy   bool
	out        string
	save       bool
	all        bool
	functional bool
	allow      []string
	ab         abOptions
	rules      prpolicy.Flags
}

// AddFlags registers the flags.
func (o *judgeOptions) AddFlags(f *pflag.FlagSet) {
	o.subjectFlags.AddFlags(f)
	o.rules.AddFlags(f)
	f.StringVar(&o.caseMode, "case-mode", rundir.ModeE2E, strings.Join(rundir.CaseModes(), ", ")+": which metrics gate, where the match values name no mode")
	f.IntSliceVar(&o.points, "points", nil, "concurrencies that must have been measured")
	f.BoolVar(&o.accuracy, "accuracy", false, "accuracy must have been measured; a score that is found meets perf.accuracy.gates in any case")
	f.StringVarP(&o.out, "output", "o", "", "write verdict.json to this file; - is stdout, instead of the table")
	f.BoolVar(&o.save, "save", false, "store the run: a nightly run joins the history of its branch")
	f.BoolVar(&o.all, "all", false, "show every metric, not only those that gate or moved")
	f.BoolVar(&o.functional, "functional-only", false, "show the performance, never fail on it")
	f.BoolVar(&o.ab.on, "ab", false, "judge two builds measured in turn: the runs of A, then --, then those of B")
	f.StringVar(&o.ab.order, "order", orderGiven, "with --ab, how runs become pairs: given (first with first) or time (by when the files were written)")
	f.IntVar(&o.ab.cases, "cases", 1, "with --ab, how many cases of the same change are judged so: more cases ask for more evidence in each")
	f.StringSliceVar(&o.allow, "allow", nil, "end with 0 in spite of: collecting, no_baseline")
}

func newJudgeCmd(h host) *cobra.Command {
	var o judgeOptions
	cmd := &cobra.Command{
		Use:   "judge [flags] FILE_OR_DIR...",
		Short: "Judge benchmark outputs against a baseline; needs no Slurm",
		Long: `judge reads what benchmark clients wrote (TensorRT-LLM, vLLM, SGLang, AIPerf, …;
recognised by content), compares each metric with the history of its series in a
baseline store or with a pinned value, and prints the verdict. It ends with

  0  pass or improvement
  1  the answers are wrong (perf.accuracy.gates)
  2  usage, config or input is wrong
  4  performance regression
  5  no verdict: invalid measurement, inconclusive, no baseline, store unavailable,
     or too little history yet (collecting)

With --ab it needs no history: A and B are two builds that were measured in turn on
the same machines (A B, B A, A B, …; every run a fresh start, one warm-up of each
thrown away), 4 to 10 pairs. The order of the arguments is that of the pairs. It
sees changes that a single run never shows: 2 % where runs differ by 0.5 %.`,
		Example: `  ci-disagg judge --store dir:/shared/perf --case my_case --save out/benchmark.log
  ci-disagg judge --case my_case --match gpu_type=GB200 --mode pr --merge-base "$BASE" out/
  ci-disagg judge --case my_case --rep out2/ --rep out3/ -o verdict.json out1/
  ci-disagg judge --ab base/1 base/2 base/3 base/4 -- head/1 head/2 head/3 head/4`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.ab.on {
				return runJudgeAB(cmd.Context(), h, o, args, cmd.ArgsLenAtDash())
			}
			return runJudge(cmd.Context(), h, o, args)
		},
	}
	o.AddFlags(cmd.Flags())
	trust.Guard(cmd, h.getenv, trust.If(&o.save, "judge --save"))
	return cmd
}

func runJudge(ctx context.Context, h host, o judgeOptions, args []string) error {
	cfg, err := o.judged(h)
	if err != nil {
		return err
	}
	setup, err := judgingHere(h, cfg)
	if err != nil {
		return err
	}
	subject, also, err := o.subject(h, cfg, setup, o.expected(), args)
	if err != nil {
		return exit.ByUser(err)
	}
	o.caseMode = subject.Record.ModeOfCase()
	ctx, cancel := context.WithTimeout(ctx, deliver.StoreTimeout)
	defer cancel()
	if err := setup.Open(ctx, cfg.StoreURL(), o.save); err != nil {
		return exit.ByUser(err)
	}
	defer setup.Close()
	j := judging.Case(ctx, setup, subject)
	j.Warnings = append(also.Warnings, j.Warnings...)
	if o.accuracy || len(also.Scores) > 0 {
		builder.AddAnswers(&j, builder.AccuracyRows(subject.Record.Case, also.Scores, cfg.Perf.Accuracy.Gates, cfg.Perf.Accuracy.Advisory))
	}
	var failed error
	if o.save {
		if err := setup.Save(ctx, j.Record); err != nil {
			failed = fmt.Errorf("not stored: %w", err)
		}
	}
	return o.publish(h, o.outside(cfg).Judged(j, errors.Unwrap(failed)), failed)
}

// judged is the config that the measurement is judged by.
func (o judgeOptions) judged(h host) (config, error) {
	cfg, err := ruled(h, o.config, o.rules, o.buildFlags)
	if err != nil {
		return cfg, err
	}
	if cfg, err = o.over(h, cfg); err != nil {
		return cfg, err
	}
	return cfg, exit.ByUser(o.policy(&cfg))
}

// outside is what the report of a measurement says beside it.
func (o judgeOptions) outside(cfg config) builder.Outside {
	return builder.Outside{
		Tool: buildVersion(), Run: o.runID, Case: o.caseID, Mode: o.caseMode,
		Exit: cfg.Perf.Exit(), FunctionalOnly: cfg.Perf.Policy.FunctionalOnly, Rules: cfg.Said(),
	}
}

// expected is what must have been measured.
func (o judgeOptions) expected() rundir.Expected {
	want := rundir.Expected{Accuracy: o.accuracy}
	for _, c := range o.points {
		want.Points = append(want.Points, rundir.Point{Concurrency: c})
	}
	return want
}

// policy lays the flags over the config's policy. There is nobody to run a
// repetition: what would need one and has none is inconclusive.
func (o judgeOptions) policy(cfg *config) error {
	p := &cfg.Perf.Policy
	p.FunctionalOnly = p.FunctionalOnly || o.functional || cfg.Perf.Off
	p.RerunsUnavailable = true
	p.RerunsUsed = len(o.reps)
	p.NoReruns = "judge runs none itself, --rep gives it the output of one"
	for _, word := range o.allow {
		switch verdict.Word(word) {
		case verdict.Collecting:
			p.AllowCollecting = true
		case verdict.NoBaseline:
			p.AllowNoBaseline = true
		default:
			return fmt.Errorf("--allow %s: only collecting and no_baseline can be allowed", word)
		}
	}
	if modes := rundir.CaseModes(); !slices.Contains(modes, o.caseMode) {
		return fmt.Errorf("--case-mode %s: use %s", o.caseMode, strings.Join(modes, ", "))
	}
	if o.caseID == "" {
		return errors.New("which case was measured? Give --case: it names the history")
	}
	return nil
}

// publish writes verdict.json where it is wanted, prints the table, and ends the verb. A
// file that cannot be written hides nothing of what was judged. failed is what else is
// to be told.
func (o judgeOptions) publish(h host, d *builder.Decided, failed error) error {
	if err := o.write(h, d.Report()); err != nil {
		failed = errors.Join(failed, d.NotWritten("verdict.json", err))
	}
	doc, t := d.Report(), printer(h)
	switch {
	case o.out == "-":
	case doc.Cases[0].AB != nil:
		t.Paired(doc)
	default:
		t.Verdict(doc, o.all)
	}
	return exit.With(h.stderr, doc.ExitCode, failed)
}

func (o judgeOptions) write(h host, doc report.Report) error {
	switch o.out {
	case "":
		return nil
	case "-":
		return cmdline.WriteJSON(h.stdout, doc)
	}
	path, err := absPath(h, o.out)
	if err != nil {
		return err
	}
	return rundir.WriteJSON(path, doc)
}
