//go:build race

package runtest

// buildFlags let a binary under test watch for races when the tests do.
func buildFlags() []string { return []string{"-race"} }
