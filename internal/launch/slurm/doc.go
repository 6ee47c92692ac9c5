// Package slurm is a client of Slurm's command line: text in, text out.
//
// In: a host on which sbatch, squeue, scontrol, sacct and scancel work. Out:
// rows as Slurm wrote them, every word kept. It decides nothing; package outcome
// does. An answer is either complete or an error: a call that failed, timed out
// or printed something else says nothing about a job.
//
// Only text output with explicit formats is used, because the JSON of these
// commands changed shape between releases (23.11, 24.05, 24.11) while the text
// read here is the same from 21.08 to 25.x
// (docs/facts/slurm.md#text-instead-of-json). SLURM_TIME_FORMAT is set to seconds
// since the epoch and TZ to UTC for every query, so that no time depends on the
// host's settings; ISO times are read as well, for commands that ignore the
// former.
package slurm
