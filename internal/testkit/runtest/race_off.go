//go:build !race

package runtest

func buildFlags() []string { return nil }
