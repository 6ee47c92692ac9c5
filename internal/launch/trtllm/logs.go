package trtllm

import (
	"path"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// rolePlaceholder stands for a role's name in workload.server_logs.
const rolePlaceholder = "{role}"

// serverLogs are the patterns of the files that a role's own processes write: the
// test captures what a role prints, so the cause of a failure stands there.
// Releases name the servers' logs by role and number in either order.
func (k *kase) serverLogs(r rundir.RolePlan) []string {
	var out []string
	for _, glob := range k.r.set.ServerLogs {
		out = append(out, strings.ReplaceAll(glob, rolePlaceholder, r.Name))
	}
	if len(out) > 0 || k.r.set.OutputLayout != LayoutTRTLLM {
		return out
	}
	const client = "trtllm-benchmark.*.log"
	switch r.Kind {
	case rundir.KindTask:
		return []string{"trtllm-serve.*.log", client}
	case rundir.KindClient:
		return []string{client}
	default:
		return []string{"trtllm-serve.*." + r.Name + ".log", "trtllm-serve." + r.Name + ".*.log"}
	}
}

// checkServerLogs holds workload.server_logs against what the agent can match.
func (r *resolver) checkServerLogs() {
	for _, glob := range r.in.Config.ServerLogs {
		_, err := path.Match(glob, "")
		switch {
		case err != nil:
			r.problem(r.in.ConfigFile, 0, "workload.server_logs", "%q is no pattern: close its bracket or escape it with a backslash", glob)
		case strings.Contains(glob, "/"):
			r.problem(r.in.ConfigFile, 0, "workload.server_logs", "%q: name files in the test's output directory, without a slash", glob)
		case !strings.Contains(glob, rolePlaceholder):
			r.problem(r.in.ConfigFile, 0, "workload.server_logs", "%q does not say whose log it is: put %s where the role's name stands", glob, rolePlaceholder)
		}
	}
}
