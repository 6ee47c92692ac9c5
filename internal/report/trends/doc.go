// Package trends gathers what a store's recorded verdicts say over time: every series with its whole history, the
// regressions that were open and are, what was accepted, what changed with them, what moved this week.
//
// In: a store, and what was gathered the last time. Out: a Site, which package trendpages prints. Nothing is judged
// again: a verdict stands as it was recorded.
package trends
