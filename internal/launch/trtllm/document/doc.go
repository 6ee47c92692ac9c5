// Package document reads YAML files of TensorRT-LLM's key by key, and keeps file,
// line and key of everything that is wrong with them.
//
// In: a file's text. Out: its sections, whose values are asked for by name and
// type, and all problems found on the way. It knows no key by itself.
package document
