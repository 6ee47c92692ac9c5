// Package trtllm knows everything that is TensorRT-LLM's: test ids and lists,
// the two YAML schemas of its perf-sanity configs, how many GPUs a server takes,
// the variables and file names that its test scripts expect.
//
// In: the section workload: of ci-disagg.yaml, test ids or lists, facts about
// the cluster, and values that cmd read from the environment. Out: one
// rundir.Plan per case, or every problem of the input at once, each with file,
// line, key and the way to fix it. The package reads the files it is told to
// read and nothing else: no clock, no environment, no working directory.
package trtllm
