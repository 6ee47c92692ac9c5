package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Ask asks Slurm on at about the job of a case, given its script, without submitting it. sbatch --test-only says
// little more than yes or no, and yes to jobs that would wait for ever behind their partition's limits; these are
// read beside. The error says that Slurm could not be asked.
func (s Suite) Ask(ctx context.Context, at host.Host, c Case, job []byte) (Check, error) {
	partitions, err := readPartitions(ctx, at)
	if err != nil {
		return Check{}, err
	}
	res, err := ask(ctx, at, job, "sbatch", "--test-only")
	if err != nil {
		return Check{}, err
	}
	answer := strings.TrimSpace(string(res.Stderr) + string(res.Stdout))
	if why := refusedBy(partitions, s.Profile, c.Nodes, c.Budgets.Job.D()); why != "" {
		return Check{Answer: why + "; sbatch: " + answer}, nil
	}
	return Check{OK: res.Exit == 0, Answer: answer}, nil
}

// ask runs one of Slurm's commands on the cluster's host.
func ask(ctx context.Context, at host.Host, stdin []byte, argv ...string) (host.Result, error) {
	res, err := at.Run(ctx, host.Cmd{
		Argv: argv, Stdin: bytes.NewReader(stdin), Unset: []string{"SBATCH_*", "SLURM_*"}, Keep: []string{"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT"},
	})
	if err != nil {
		return res, fmt.Errorf("%s on %s: %w", strings.Join(argv, " "), at.Name(), err)
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

func readPartitions(ctx context.Context, at host.Host) ([]partition, error) {
	res, err := ask(ctx, at, nil, "scontrol", "--all", "--oneliner", "show", "partition")
	if err == nil && res.Exit != 0 {
		err = fmt.Errorf("scontrol show partition on %s: %s", at.Name(), bytes.TrimSpace(res.Stderr))
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
		p.maxTime, _ = slurm.Duration(fields["MaxTime"])
		out = append(out, p)
	}
	return out
}

// refusedBy tells why no partition of the profile's list, of none the default one, would ever start a job of that
// size, "" = one would. A job's QOS may lift limits.
func refusedBy(partitions []partition, prof script.Profile, nodes int, limit time.Duration) string {
	var why []string
	list, qos := prof.Partition, prof.QOS != ""
	for _, p := range partitions {
		if !slices.Contains(strings.Split(list, ","), p.name) && (list != "" || !p.byDefault) {
			continue
		}
		free := qos || p.qos
		switch {
		case p.state != "" && p.state != "UP":
			why = append(why, fmt.Sprintf("partition %s is %s", p.name, p.state))
		case p.nodes > 0 && nodes > p.nodes:
			why = append(why, fmt.Sprintf("partition %s has %s, the job needs %d", p.name, plain.Count(p.nodes, "node"), nodes))
		case p.maxNodes > 0 && nodes > p.maxNodes && !free:
			why = append(why, fmt.Sprintf("partition %s allows %s per job, the job needs %d", p.name, plain.Count(p.maxNodes, "node"), nodes))
		case p.maxTime > 0 && limit > p.maxTime && !free:
			why = append(why, fmt.Sprintf("partition %s allows %s, the job asks for %s: shorten budgets.job or the cluster's time", p.name,
				rundir.Duration(p.maxTime).Short(), rundir.Duration(limit).Short()))
		default:
			return "" // this one would do
		}
	}
	return strings.Join(why, "; ")
}
