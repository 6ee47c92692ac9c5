package rundir

import "strings"

// MinCommit is how many digits of a commit's id name it.
const MinCommit = 7

// IsCommit reports whether s is the id of a commit, or nothing.
func IsCommit(s string) bool {
	return s == "" || len(s) >= MinCommit && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// SameCommit reports whether two ids name one commit; either may be abbreviated. Of none nothing is known.
func SameCommit(a, b string) bool {
	n := min(len(a), len(b))
	return n > 0 && strings.EqualFold(a[:n], b[:n]) && (n >= MinCommit || len(a) == len(b))
}
