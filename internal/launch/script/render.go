package script

import (
	"io/fs"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Variables that our scripts export beside those of the plan.
const (
	envAttempt = "CI_DISAGG_ATTEMPT"  // the attempt directory
	envRole    = "CI_DISAGG_ROLE"     // the role's name
	envRoleDir = "CI_DISAGG_ROLE_DIR" // roles/<ROLE> of the attempt directory
)

// Attempt is what is known only when a job is about to be submitted.
type Attempt struct {
	Dir       string   // absolute path of the attempt directory, as the nodes see it
	JobName   string   // unique
	Owner     string   // owner tag, for sweep
	Exclude   []string // nodes to avoid, beside the profile's
	AgentPath string   // of the ci-disagg binary on the nodes; empty: the profile's for its architecture
	Draft     []byte   // a team's own launch draft instead of the agent
	DraftName string   // where Draft came from, for people
}

// File is one file of an attempt. Path is relative to the attempt directory.
type File struct {
	Path string
	Data []byte
	Mode fs.FileMode
}

// Apply completes a plan with what the cluster's profile says of steps:
// container, site options, environment. Call it once on what trtllm.Resolve
// gave; plan.json is the applied plan.
func Apply(p rundir.Plan, prof Profile) rundir.Plan { return p }

// Render makes the files of one attempt from an applied plan.
func Render(p rundir.Plan, prof Profile, a Attempt) ([]File, error) { return nil, nil }
