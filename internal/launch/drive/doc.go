// Package drive drives a suite: for each case it renders the job, submits it,
// waits for it, decides what follows, and writes down everything it knows at
// every step, so that another process can go on where this one stopped.
//
// In: plans, a run directory, a backend (a Slurm cluster, here or behind a login
// node, or this machine). Out: run.json, one job.json and one outcome.json per
// attempt, and whatever the jobs leave in their attempt directories.
//
// A pure function, next, says what an event makes of the state and what is to be
// done; one goroutine owns the state, does what can be done at once, and hands the
// rest to workers, whose findings are the next events. The two back edges of the
// flow, retry after an infrastructure failure and repetition of a measurement, both
// go through one function value, Decide. Jobs are ended through jobs.Backend only.
package drive
