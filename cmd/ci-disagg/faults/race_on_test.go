//go:build race

package faults_test

// buildFlags let the binary under test watch for races when the tests do.
var buildFlags = []string{"-race"}
