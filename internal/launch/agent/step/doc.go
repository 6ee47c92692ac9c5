// Package step starts the roles of an attempt and tells how they ended.
//
// In: a role with its nodes, and where its output goes. Out: a running step, as an
// srun of the job or as processes of this machine, which can be signalled and
// waited for, and its End. A Guard ends local steps after a SIGKILL of the agent.
package step
