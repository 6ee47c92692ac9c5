// Package follow reads what the jobs of a run write while they go on: the agents'
// records, and what they print, which it shows line by line.
//
// In: attempts under way. Out: each record that has changed, and whether a local
// agent lives. It costs Slurm nothing.
package follow
