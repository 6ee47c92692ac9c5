// Package bws is the arithmetic of the Bayesian window scan: what the runs of one
// series say for and against a step among the newest of them.
//
// In: the runs as signed natural logs, up is worse, and the smallest step that
// matters. Out: level, noise and segments of the history; the probability, size and
// begin of a step; how far groups of nodes are apart. Nothing here knows of verdicts.
package bws
