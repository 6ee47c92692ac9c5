// Package commonfailures tells what failures of the infrastructure have in common over
// many runs: one node, one switch, one file system.
//
// In: the run directories beside each other, or facts about attempts. Out: which kind
// of failure is one of many, how many, since when, and where. One pure function says
// so; reading is bounded and takes the newest runs first, and what cannot be read is
// left out: a neighbour is evidence, and never the run's own concern.
package commonfailures
