// Package node is the helper of the agent on one of the job's nodes: the agent sees
// only how steps end, and a test may pass although its server has died.
//
// In: the attempt's plan, the node, the agent's clock on stdin. Out: one file with
// what was seen there, line by line: of each server its process, its port and its
// health. What the node is, package probe finds out beside it. When it fails, evidence
// is missing and nothing else. What else is to be known of a node while a run goes on
// belongs here.
package node
