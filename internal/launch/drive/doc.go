// Package drive drives a suite: for each case it renders the job, submits it,
// waits for it, decides what follows, and writes down everything it knows at
// every step, so that another process can go on where this one stopped.
//
// In: plans, a run directory, a backend (a Slurm cluster, here or behind a login
// node, or this machine). Out: run.json, one job.json and one outcome.json per
// attempt, and whatever the jobs leave in their attempt directories.
//
// One goroutine owns the state; others only run commands and hand their answers
// to it. The two back edges of the flow, retry after an infrastructure failure
// and repetition of a measurement, both go through one function value, Decide.
package drive
