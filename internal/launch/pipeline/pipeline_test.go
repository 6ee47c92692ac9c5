package pipeline

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/script"
)

// What most cases say stands once; a case that says otherwise says so itself.
func TestPlanTableSharesRows(t *testing.T) {
	t.Parallel()
	rows := func(texts ...string) (out []tableRow) {
		for _, text := range texts {
			key, text, _ := strings.Cut(text, " ")
			about, _, _ := strings.Cut(text, ":")
			out = append(out, tableRow{key, about, text})
		}
		return out
	}
	require.Equal(t, rows("command GEN: a", "command AGG: c", "budgets 2h"), shared([][]tableRow{
		rows("listed x", "command GEN: a", "budgets 2h", "baseline 1", "env GEN: A=1"), rows("listed x", "command GEN: a", "budgets 2h", "baseline 2", "env GEN: A=1"),
		rows("listed x", "command GEN: b", "budgets 3h", "baseline 3"), rows("command AGG: c", "budgets 2h"), rows("command AGG: c", "budgets 1h"), rows("SKIPPED why"),
	}))
	require.Empty(t, shared([][]tableRow{rows("command GEN: a", "budgets 2h")}), "one case says it itself")
}

// Two nodes and a job of two hours against what scontrol says of partitions.
func TestPartitionsThatWouldNeverStartAJob(t *testing.T) {
	t.Parallel()
	const said = `PartitionName=batch AllowGroups=ALL Default=YES QoS=N/A MaxNodes=UNLIMITED MaxTime=UNLIMITED State=UP TotalNodes=4
PartitionName=short Default=NO QoS=N/A MaxNodes=2 MaxTime=00:05:00 State=UP TotalNodes=4
PartitionName=small Default=NO QoS=N/A MaxNodes=1 MaxTime=1-00:00:00 State=UP TotalNodes=4
PartitionName=lifted Default=NO QoS=big MaxNodes=1 MaxTime=00:05:00 State=UP TotalNodes=4
PartitionName=down Default=NO QoS=N/A MaxNodes=UNLIMITED MaxTime=UNLIMITED State=DRAIN TotalNodes=4
PartitionName=one Default=NO QoS=big MaxNodes=UNLIMITED MaxTime=UNLIMITED State=UP TotalNodes=1
`
	for list, want := range map[string]string{
		"": "", "batch": "", "lifted": "", "short,batch": "", "unknown": "",
		"short":      "partition short allows 5m, the job asks for 2h: shorten budgets.job or the cluster's time",
		"small":      "partition small allows 1 node per job, the job needs 2",
		"down":       "partition down is DRAIN",
		"one":        "partition one has 1 node, the job needs 2",
		"one,down":   "partition down is DRAIN; partition one has 1 node, the job needs 2",
		"short,down": "partition short allows 5m, the job asks for 2h: shorten budgets.job or the cluster's time; partition down is DRAIN",
	} {
		require.Equal(t, want, refusedBy(parsePartitions(said), script.Profile{Queue: script.Queue{Partition: list}}, 2, 2*time.Hour), list)
	}
	require.Empty(t, refusedBy(parsePartitions(said), script.Profile{Queue: script.Queue{Partition: "short", QOS: "any"}}, 2, 2*time.Hour), "a QOS may lift the limit")
	require.NotEmpty(t, refusedBy(parsePartitions(said), script.Profile{Queue: script.Queue{Partition: "one", QOS: "any"}}, 2, 2*time.Hour), "but it makes no nodes")
}
