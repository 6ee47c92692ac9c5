// Package probe finds out what a node of a job is, and samples it while the job runs.
//
// In: the node's /proc and /sys, nvidia-smi where there is one, and which phase the run
// is in. Out: a MachineFile with the counters of the cards before and after the
// benchmark, and a TelemetryFile of bounded size. Whatever cannot be found out is
// missing there, and nothing else happens: no run fails for it.
package probe
