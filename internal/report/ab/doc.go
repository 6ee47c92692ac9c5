// Package ab says what a paired session found: two builds, A and B, measured in
// turn on the same machines.
//
// In: the runs in the order of their pairs, and the gating series. Out: a Session,
// which is decided by verdict/paired and holds everything that a report prints of
// it. The package is pure.
package ab
