// Package agent is the supervisor inside the job.
//
// In: an attempt directory with its plan, a way to start steps (srun on Slurm, a
// miniature srun on one machine), a clock, a context that ends with a signal.
// Out: running roles, watched and ended; agent.json and each role's status,
// rewritten by rename while the attempt goes on and closed with an end; the
// roles' output complete in their files and bounded on stdout.
//
// One goroutine owns the state. What happens reaches it as events; the pure
// function next says what the state becomes and what is to be done about it.
// Everything that may block (a query to slurmctld, a write to a network file
// system, an HTTP probe, the console) happens elsewhere and comes back as an
// event, so that a stalled file server cannot hold back a teardown.
//
// The agent signals nothing but the steps that it started, and never cancels its
// own job: the state in which Slurm ends the job is evidence.
package agent
