// Package verdict decides: given the history of a series and a new run, is it a
// regression?
//
// In: plain numbers with times, a policy. Out: one Row per metric with the
// verdict, its probability, effect and interval, and the reason in words. The
// package is pure: no clock, no files, no environment, no random numbers.
package verdict
