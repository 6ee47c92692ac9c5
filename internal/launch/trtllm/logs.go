package trtllm

import (
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// rolePlaceholder stands for a role's name in workload.server_logs.
const rolePlaceholder = "{role}"

// serverLogs are the patterns of the files that a role's own processes write: the
// test captures what a role prints, so the cause of a failure stands there.
// Releases name the servers' logs by role and number in either order.
func (k *caseBuilder) serverLogs(r rundir.RolePlan) []string {
	var out []string
	for _, glob := range k.r.set.ServerLogs {
		out = append(out, strings.ReplaceAll(glob, rolePlaceholder, r.Name))
	}
	if len(out) > 0 || k.r.set.OutputLayout != LayoutTRTLLM {
		return out
	}
	switch r.Kind {
	case rundir.KindTask:
		return []string{"trtllm-serve.*.log", clientLogs}
	case rundir.KindClient:
		return []string{clientLogs}
	default:
		return []string{"trtllm-serve.*." + r.Name + ".log", "trtllm-serve." + r.Name + ".*.log"}
	}
}

// clientLogs are written by the client alone: once one is not empty, requests are
// being served.
const clientLogs = "trtllm-benchmark.*.log"

// served are the files by which the first request is known to be served.
func (k *caseBuilder) served() []string {
	if k.r.set.OutputLayout != LayoutTRTLLM {
		return nil
	}
	return []string{clientLogs}
}

// work is how a server's iteration log says on how many requests it works. Releases until
// the summer of 2026 write a colon.
func work(r rundir.RolePlan) string {
	if r.Kind == rundir.KindServer || r.Kind == rundir.KindTask {
		return `\biter = \d+, .*?num_scheduled_requests(?: =|:) (\d+)`
	}
	return ""
}

// hang is for how long a benchmark may give no sign of life.
func (c Config) hang() rundir.Duration {
	if c.Hang == nil {
		return defaultHang
	}
	return *c.Hang
}
