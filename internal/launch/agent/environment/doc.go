// Package environment writes down what the machines and the software of an attempt were:
// environment.json.
//
// In: the plan, what the helpers on the nodes and the roles have left, git, the image's
// file. Out: one record, of all builds that the attempt has run. What nobody could tell
// is absent; nothing fails for it, but a file that cannot be written.
package environment
