// Package compare holds any two things against each other that were measured: runs, commits, branches, clusters, dates,
// stores.
//
// In: what a person names, a store, run directories. Out: a Document: per case and metric the ratio with its interval
// and a verdict, the worst first, and what makes the comparison unfair. It is arithmetic over recorded values: nothing
// is judged again, and nothing is stored.
package compare
