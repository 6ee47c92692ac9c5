// Package verdict decides: given the history of a series and a new run, is it a
// regression?
//
// In: plain numbers with times, a policy. Out: one Row per metric with the
// verdict, its probability, effect and interval, and the reason in words. The
// package is pure: no clock, no files, no environment, no random numbers.
//
// Judge is the entry. It picks one of three rules per metric: bws (a Bayesian
// window scan over a robustly segmented history), fixed (percent of a pinned
// value) and upstream (the rule of TensorRT-LLM's perf sanity). The state that a
// gate needs beside its statistics, the regression that stays open with its old
// level until the runs are back or someone accepts, is folded from the history
// each time: nothing is remembered outside the stored runs.
package verdict
