package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	clusterhost "github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// checkPlans asks Slurm about each job without submitting it. sbatch --test-only
// says little more than yes or no, and yes to jobs that would wait for ever behind
// their partition's limits; these are read beside.
func checkPlans(ctx context.Context, h host, d *driver, dir rundir.Dir, cases []planCase) error {
	if d.backend == jobs.BackendLocal {
		return usageErr(errors.New("--check asks Slurm; the local backend has none"))
	}
	if err := d.preflight(ctx, h); err != nil {
		return err
	}
	partitions, err := readPartitions(ctx, d)
	if err != nil {
		return err
	}
	for i, c := range cases {
		if c.Case.SkipReason != "" {
			continue
		}
		_, files, err := renderExample(d, dir, c.Plan)
		if err != nil {
			return usageErr(err)
		}
		res, err := ask(ctx, d, files[0].Data, "sbatch", "--test-only")
		if err != nil {
			return err
		}
		check := planCheck{OK: res.Exit == 0, Answer: strings.TrimSpace(string(res.Stderr) + string(res.Stdout))}
		if why := refusedBy(partitions, d.profile.Partition, d.profile.QOS != "", c.Nodes, c.Budgets.Job.D()); why != "" {
			check = planCheck{Answer: why + "; sbatch: " + check.Answer}
		}
		cases[i].Check = &check
	}
	return nil
}

// ask runs one of Slurm's commands on the cluster's host.
func ask(ctx context.Context, d *driver, stdin []byte, argv ...string) (clusterhost.Result, error) {
	res, err := d.host.Run(ctx, clusterhost.Cmd{
		Argv: argv, Stdin: bytes.NewReader(stdin), Unset: []string{"SBATCH_*", "SLURM_*"}, Keep: []string{"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT"},
	})
	if err != nil {
		return res, &endError{code: exitInfra, err: fmt.Errorf("%s on %s: %w", strings.Join(argv, " "), d.host.Name(), err)}
	}
	return res, nil
}

// partition is what Slurm says of one; limits of 0 are none.
type partition struct {
	name            string
	byDefault       bool
	state           string
	nodes, maxNodes int
	maxTime         time.Duration
	qos             bool // a QOS of its own may lift its limits
}

func readPartitions(ctx context.Context, d *driver) ([]partition, error) {
	res, err := ask(ctx, d, nil, "scontrol", "--all", "--oneliner", "show", "partition")
	if err == nil && res.Exit != 0 {
		err = &endError{code: exitInfra, err: fmt.Errorf("scontrol show partition on %s: %s", d.host.Name(), bytes.TrimSpace(res.Stderr))}
	}
	if err != nil {
		return nil, err
	}
	return parsePartitions(string(res.Stdout)), nil
}

// parsePartitions reads scontrol --oneliner show partition. What it does not
// understand is no limit: sbatch has the last word.
func parsePartitions(text string) []partition {
	var out []partition
	for line := range strings.Lines(text) {
		fields := map[string]string{}
		for _, f := range strings.Fields(line) {
			name, value, _ := strings.Cut(f, "=")
			fields[name] = value
		}
		if fields["PartitionName"] == "" {
			continue
		}
		p := partition{
			name: fields["PartitionName"], byDefault: fields["Default"] == "YES", state: fields["State"],
			qos: fields["QoS"] != "" && fields["QoS"] != "N/A",
		}
		p.nodes, _ = strconv.Atoi(fields["TotalNodes"])
		p.maxNodes, _ = strconv.Atoi(fields["MaxNodes"])
		p.maxTime, _ = trtllm.SlurmDuration(fields["MaxTime"])
		out = append(out, p)
	}
	return out
}

// refusedBy says why no partition of the comma separated list, "" for the default
// one, would ever start a job of that size, or "". A job's QOS may lift limits.
func refusedBy(partitions []partition, list string, qos bool, nodes int, limit time.Duration) string {
	var why []string
	for _, p := range partitions {
		if !slices.Contains(strings.Split(list, ","), p.name) && (list != "" || !p.byDefault) {
			continue
		}
		free := qos || p.qos
		switch {
		case p.state != "" && p.state != "UP":
			why = append(why, fmt.Sprintf("partition %s is %s", p.name, p.state))
		case p.nodes > 0 && nodes > p.nodes:
			why = append(why, fmt.Sprintf("partition %s has %s, the job needs %d", p.name, count(p.nodes, "node"), nodes))
		case p.maxNodes > 0 && nodes > p.maxNodes && !free:
			why = append(why, fmt.Sprintf("partition %s allows %s per job, the job needs %d", p.name, count(p.maxNodes, "node"), nodes))
		case p.maxTime > 0 && limit > p.maxTime && !free:
			why = append(why, fmt.Sprintf("partition %s allows %s, the job asks for %s: shorten budgets.job or the cluster's time", p.name,
				shortDuration(rundir.Duration(p.maxTime)), shortDuration(rundir.Duration(limit))))
		default:
			return "" // this one would do
		}
	}
	return strings.Join(why, "; ")
}

// refused is the error of a plan that Slurm would not take.
func refused(cases []planCase) error {
	var bad []string
	for _, c := range cases {
		if c.Check != nil && !c.Check.OK {
			bad = append(bad, fmt.Sprintf("%s: %s", c.Case.ID, oneLine(c.Check.Answer)))
		}
	}
	if bad == nil {
		return nil
	}
	return usageErr(fmt.Errorf("slurm would not take %d of %s:\n%s", len(bad), count(len(cases), "job"), strings.Join(bad, "\n")))
}
