// Package report decides: what became of each case and of the run, whose fault it was,
// in which words, and with which exit code.
//
// In: how each attempt ended (package results), the rows of its measurements (package
// verdict), and a policy, as plain values. Out: a Report, which is verdict.json and the
// tests of junit.xml. DecideCase and Decide are the only places that say red or green;
// what prints them decides nothing. The package is pure.
package report
