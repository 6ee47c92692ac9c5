// Package points makes one measurement of each benchmark point of what the clients of an attempt left behind, and holds
// it against the plan.
//
// In: the files of an attempt, and what was planned. Out: one bench.Result per point (what a client said in a table and
// in JSON is one), and every reason for which it cannot be trusted.
package points
