// Package report turns a run directory into what is published.
//
// In: the records and files that the launch side left behind, the baseline
// store, a policy. Out: one document (verdict.json), one JUnit report, and one
// exit code. It needs no Slurm and works on a copied run directory.
package report
