//go:build race

package runtest

// buildFlags let the binary under test watch for races when the tests do.
func buildFlags() []string { return []string{"-race"} }
