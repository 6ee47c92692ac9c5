// Package blame answers one question: whose fault was it?
//
// In: what was observed of one attempt (events with times, log lines, what
// Slurm says of the job, results of the roles' own tests) and the failure
// classes. Out: a Finding: the root role, its class, the rule that fired, the
// line it fired on, and who is collateral. Judge is pure; the agent calls it
// without, the report with the evidence of the XML files.
//
// The rules are documented with Judge. Without evidence for another class a
// failure is the test's, so that it stays red.
package blame
