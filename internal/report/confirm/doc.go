// Package confirm tests the regressions of a run a second time, another way: each by one paired session of the last
// good commit against the first bad one.
//
// In: a run's report, and a function that makes a session. Out: for each regression whether it is confirmed, in the
// run's directory, from where the run's next report takes it. It judges nothing: the session does; what the run found
// stays in the history.
package confirm
