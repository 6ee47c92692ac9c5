package outcome

import (
	"fmt"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
)

// Explain is a pending reason of Slurm in plain words. Reasons it does not know
// are shown as they are.
func Explain(reason string) string {
	word, _, _ := strings.Cut(reason, ",")
	word, _, _ = strings.Cut(strings.TrimSpace(word), ":")
	words := map[string]string{
		"":                              "Slurm has not looked at it yet",
		"None":                          "Slurm has not looked at it yet",
		"Priority":                      "jobs of higher priority go first",
		"Resources":                     "waits for nodes to become free",
		"Dependency":                    "waits for another job",
		"DependencyNeverSatisfied":      "waits for a job that failed: it will never start",
		"BeginTime":                     "its start time has not come",
		"JobHeldUser":                   "held by its owner or an operator: scontrol release",
		"JobHeldAdmin":                  "held by an administrator",
		"JobHoldMaxRequeue":             "held after too many restarts: something is wrong with the nodes",
		"launch_failed_requeued_held":   "held after its launch failed",
		"ReqNodeNotAvail":               "nodes that it needs are down, drained or reserved",
		"Reservation":                   "waits for its reservation",
		"PartitionDown":                 "the partition is down",
		"PartitionInactive":             "the partition accepts no jobs to run",
		"PartitionNodeLimit":            "asks for more nodes than the partition has (up)",
		"PartitionTimeLimit":            "asks for more time than the partition allows",
		"PartitionConfig":               "asks for something the partition does not have",
		"BadConstraints":                "asks for something no node has",
		"Licenses":                      "waits for a licence",
		"AssociationJobLimit":           "your account runs as many jobs as it may",
		"AssociationResourceLimit":      "your account uses as much as it may",
		"AssocGrpNodeLimit":             "your account uses as many nodes as it may",
		"AssocGrpGRES":                  "your account uses as many GPUs as it may",
		"AssocMaxJobsLimit":             "your account runs as many jobs as it may",
		"AssocGrpBillingMinutes":        "your account has used up its time",
		"AssocGrpCPUMinutesLimit":       "your account has used up its time",
		"InvalidAccount":                "the account does not exist or may not be used here",
		"InvalidQOS":                    "the QOS does not exist or may not be used here",
		"QOSJobLimit":                   "the QOS has reached its number of jobs",
		"QOSMaxJobsPerUserLimit":        "you run as many jobs in this QOS as you may",
		"QOSMaxNodePerUserLimit":        "you use as many nodes in this QOS as you may",
		"QOSMaxGRESPerUser":             "you use as many GPUs in this QOS as you may",
		"QOSGrpNodeLimit":               "the QOS uses as many nodes as it may",
		"QOSGrpGRES":                    "the QOS uses as many GPUs as it may",
		"QOSMaxWallDurationPerJobLimit": "asks for more time than the QOS allows",
		"NodeDown":                      "a node that it needs is down",
		"Prolog":                        "the prolog runs",
		"Cleaning":                      "is being cleaned up after a restart",
		"SystemFailure":                 "Slurm itself has trouble",
		"FrontEndDown":                  "no front end is up",
		"JobArrayTaskLimit":             "its array runs as many tasks as it may",
		"BurstBufferResources":          "waits for the burst buffer",
		"MaxMemPerLimit":                "asks for more memory than allowed",
	}
	if text, ok := words[word]; ok {
		return text
	}
	return reason
}

// QueueText is a row of the queue in plain words.
func QueueText(q slurm.QueueRow, now time.Time) string {
	switch q.State.Class() {
	case slurm.Waiting:
		text := strings.ToLower(string(q.State)) + ": " + Explain(q.Reason)
		if q.Reason != "" && Explain(q.Reason) != q.Reason {
			text += " (" + q.Reason + ")"
		}
		if q.Start.After(now) {
			text += ", estimated start " + q.Start.UTC().Truncate(time.Minute).Format("15:04Z")
			if q.Start.Sub(now) > 12*time.Hour {
				text += q.Start.UTC().Format(" on 2006-01-02")
			}
		}
		return text
	case slurm.Unknown:
		return fmt.Sprintf("%s: a state that this version does not know", q.State)
	default:
		text := strings.ToLower(string(q.State))
		if q.NodeList != "" {
			text += " on " + q.NodeList
		}
		if q.Reason != "" {
			text += " (" + q.Reason + ")"
		}
		return text
	}
}
