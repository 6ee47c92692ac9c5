// Package runs finds run directories and what they hold, and deals with runs from
// outside: it ends their jobs (Cancel), ends jobs whose driver is dead (Sweep), and
// removes what is old (Prune).
//
// In: run directories, the cluster's queue. Out: what was found, and what was done
// about it. It never takes a run's lease while a driver holds it.
package runs
