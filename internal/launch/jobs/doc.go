// Package jobs starts, finds and ends the job of an attempt, on a Slurm cluster or
// as a process of this machine, and knows the names that our jobs go by.
//
// In: what to start, or the record of a job. Out: Slurm's id or the process id.
// Whoever ends a job, for whatever reason, does it with Backend.Cancel.
package jobs
