// Package runview shows runs from outside, also while they go on: which there are, where each stands, and what its
// roles print.
//
// In: run directories, and a way to read what lies behind a login node. Out: values that stay the same for programs
// (-o json), and what people read. It reads and decides nothing: a run's result is that of its report.
package runview
