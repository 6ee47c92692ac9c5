// Package faults holds the fault matrix: every way to die that is known, done to a real run of the built binary with
// the stand-in workload on a real Slurm. It has no code of its own. docs/faults.md shows its table.
package faults
