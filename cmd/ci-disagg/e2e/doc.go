// Package e2e holds the tests of the whole way: the built binary, the stand-in
// workload, this machine and a real Slurm. It has no code of its own.
package e2e
