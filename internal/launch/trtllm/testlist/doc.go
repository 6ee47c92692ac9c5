// Package testlist reads the names of TensorRT-LLM's tests: ids in all the forms in
// which people give them, lists of them, the YAML files of its test database, and
// waives.
//
// In: an id or a file's text. Out: entries, each with what its line says beside the
// id, and for an id the ways to read what stands between its brackets.
package testlist
