//go:build race

package e2e_test

// buildFlags let the binary under test watch for races when the tests do.
var buildFlags = []string{"-race"}
